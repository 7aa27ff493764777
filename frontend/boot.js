// Starts the page's program, and keeps what is picked before it runs. xtask bundles this with
// wasm-bindgen's glue, and puts the address of the program in place of PROGRAM.
//
// The state of the page is on <html data-state>: "loading", then "program", or "form" when the
// program cannot run here: then style/page.css shows index.html as the plain form that it is.
// When not even this file runs, the style shows the form by itself after some seconds.

import { imports, start } from "./page.js";

const root = document.documentElement;
const input = document.getElementById("pick");
const note = document.getElementById("early");

/** Every file of every pick so far: a second pick takes the first one's place in the input. */
let early = [];

function keep() {
  for (const file of Array.from(input.files)) {
    if (early.indexOf(file) < 0) early.push(file);
  }
  if (note) note.textContent = early.map((file) => file.name).join(", ");
  try {
    const all = new DataTransfer();
    for (const file of early) all.items.add(file);
    input.files = all.files;
    early = Array.from(input.files);
  } catch {
    // No such constructor here: the program is given what the input does not hold.
    input.early = early.filter((file) => Array.from(input.files).indexOf(file) < 0);
  }
}

/** Tells the edge that a person sees the page: what a chat app fetches for its card runs no script. */
function opened() {
  if (document.visibilityState !== "visible" || !navigator.sendBeacon) return;
  document.removeEventListener("visibilitychange", opened);
  navigator.sendBeacon(location.pathname.replace(/\/$/, "") + "/opened");
}

/** Compiles the program while it arrives, where the browser can, and starts it. */
async function load() {
  const answer = await fetch(PROGRAM);
  let program;
  try {
    program = await WebAssembly.instantiateStreaming(answer, imports());
  } catch {
    // No such function here, or the program came without its type: its bytes have not been read.
    program = await WebAssembly.instantiate(await answer.arrayBuffer(), imports());
  }
  start(program.instance);
}

function show(state) {
  root.dataset.state = state;
  input.removeEventListener("change", keep);
}

root.dataset.state = "loading";
document.addEventListener("visibilitychange", opened);
opened();
input.addEventListener("change", keep);
keep();
load().then(() => show("program"), () => show("form"));
