// Starts the page's program, and keeps what is picked before it runs. xtask bundles this with
// wasm-bindgen's glue, and puts the address of the program in place of PROGRAM.
//
// The state of the page is on <html data-state>: "loading", then "program", or "form" when the
// program cannot run here or is late: then style/page.css shows index.html as the plain form that it
// is. A program that comes late takes the page over, unless the form is on its way already. When not
// even this file runs, the style shows the form by itself after some seconds.

import init from "./page.js";

/** When the form is shown at the latest, in milliseconds since the page was asked for. */
const FORM_AFTER = 8000;
/** How long the answer with the program may take to begin, in milliseconds. On a slow phone in a bad network
 * some seconds are usual, and a second try beside the first halves what either gets. */
const ANSWER_WITHIN = 10000;
/** How long a try may take in all, in milliseconds: the program at 2 kB/s. */
const PROGRAM_WITHIN = 30000;
/** Pause before the second and last try, in milliseconds. */
const AGAIN_AFTER = 500;

const root = document.documentElement;
const form = document.getElementById("form");
const input = document.getElementById("pick");
const note = document.getElementById("early");

/** Every file of every pick so far: a second pick takes the first one's place in the input. */
let early = [];
let sent = false;

function keep() {
  for (const file of Array.from(input.files)) {
    if (early.indexOf(file) < 0) early.push(file);
  }
  // A line may end before the ending of a name.
  if (note) note.textContent = early.map((file) => file.name.replace(/\.[^.]*$/, "\u200b$&")).join(", ");
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

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const within = (ms, promise) =>
  Promise.race([promise, wait(ms).then(() => Promise.reject(new Error("nothing in " + ms + " ms")))]);

/** Compiles the program while it arrives, where the browser can. */
async function compile(answer) {
  try {
    return await WebAssembly.compileStreaming(answer);
  } catch {
    // No such function here, or the program came without its type: its bytes have not been read.
    return WebAssembly.compile(await answer.arrayBuffer());
  }
}

async function load(how) {
  const answer = await within(ANSWER_WITHIN, fetch(PROGRAM, how));
  if (!answer.ok) throw new Error("status " + answer.status);
  return within(PROGRAM_WITHIN, compile(answer));
}

/** Starts the program; one that fails leaves the page as it was. */
async function run(program) {
  if (sent) return;
  const app = document.getElementById("app");
  const before = app.cloneNode(true);
  try {
    await init({ module_or_path: program });
    show("program");
  } catch (why) {
    app.replaceWith(before);
    throw why;
  }
}

function show(state) {
  root.dataset.state = state;
  input.removeEventListener("change", keep);
}

root.dataset.state = performance.now() < FORM_AFTER ? "loading" : "form";
document.addEventListener("visibilitychange", opened);
opened();
form.addEventListener("submit", () => (sent = true));
input.addEventListener("change", keep);
keep();
setTimeout(() => root.dataset.state === "loading" && show("form"), FORM_AFTER - performance.now());
load()
  // Not from the cache, nor behind a request for the same that stalls.
  .catch(() => wait(AGAIN_AFTER).then(() => load({ cache: "reload" })))
  .then(run)
  .catch((why) => {
    console.error(why);
    show("form");
  });
