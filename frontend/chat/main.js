// "From your chats": stands above the page's own button inside a chat app that has a picker for its
// chats' files, and is loaded nowhere else. See `edge/src/chat/page.rs` for who loads it.
//
// Files go to the page by its own input, as the browser's picker brings them, so the page's program
// has nothing of this in it. The input stays usable whatever happens here.

import { PREPARE_MS, Trouble, assemble, link, understand, within } from "./picker.js";

/** How long a call may go unanswered before a word is said, in milliseconds. */
const PATIENCE_MS = 8000;

/** @type {import("./picker.js").Offer} */
const offer = read("chatlift-chat");
const page = read("chatlift-page");
const input = /** @type {HTMLInputElement} */ (document.getElementById("pick"));

const block = element("div", { "data-testid": "chat" });
// The page's style is everybody's, so what only this needs stands here.
block.style.cssText = "display:grid;grid-gap:12px;margin-bottom:12px";
const say = element("p", { class: "note", role: "status", "data-testid": "chat-note" });

/** Tells an answer that came late from the one that is waited for. */
let turn = 0;

/** @param {string} id */
function read(id) {
  return JSON.parse(document.getElementById(id)?.textContent || "null");
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {string} [text]
 */
function element(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/**
 * @param {string} key
 * @param {Record<string, string>} [values]
 */
function text(key, values = {}) {
  const found = offer.texts[key] || page.messages[key] || offer.texts["chat.failed"];
  return found.replace(/\{(\w+)\}/g, (/** @type {string} */ all, /** @type {string} */ name) => values[name] ?? all);
}

/**
 * @param {string} key
 * @param {Record<string, string>} [values]
 */
function tell(key, values) {
  say.textContent = key && text(key, values);
  say.hidden = !key;
  say.dataset.code = key;
}

/** @param {unknown} error */
function explain(error) {
  const trouble = understand(error);
  tell(trouble.key, trouble.values);
}

/**
 * The edge's answer; something else comes from a proxy, or was cut.
 * @param {string} body
 */
function parse(body) {
  try {
    return Object(JSON.parse(body));
  } catch {
    throw new Trouble("chat.failed");
  }
}

/** Asks for the page's later texts, among them a sentence for each way in which the edge says no. */
async function complete() {
  const answer = await fetch(`${link()}/page?lang=${page.lang}`).catch(() => null);
  const more = await answer?.json().catch(() => null);
  Object.assign(page.messages, more?.messages);
}

/** Keeps the block on top of where files are picked, which the page draws anew at every change. */
function place() {
  const zone = document.querySelector('[data-testid="drop-zone"]');
  if (!zone || zone.contains(block)) return;
  zone.prepend(block);
  // One button calls for the thumb, not two.
  if (offer.configured) zone.querySelector("label.pick")?.classList.add("soft");
}

/** @returns {Promise<string>} how the page runs: "program" or "form" */
function started() {
  return new Promise((resolve) => {
    const look = () => {
      const state = document.documentElement.dataset.state;
      if (state !== "program" && state !== "form") return setTimeout(look, 50);
      return resolve(state);
    };
    look();
  });
}

/**
 * Gives files to the page.
 * @param {File[]} files
 */
async function deliver(files) {
  if ((await started()) === "program") {
    // What the page's picker takes over besides what the input holds.
    Object.assign(input, { early: files });
  } else {
    const all = new DataTransfer();
    for (const file of [...Array.from(input.files || []), ...files]) all.items.add(file);
    input.files = all.files;
  }
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/**
 * Sends files by the chat app's own means, one after the other.
 * @param {import("./picker.js").Picker} picker
 * @param {import("./picker.js").ChatFile[]} files
 */
async function send(picker, files) {
  // Else the first file would be all that is joined.
  const joins = Boolean(page?.link?.join);
  /** @type {string[]} */
  const order = [];
  for (const file of files) {
    tell("chat.sending", { name: file.name });
    const body = await picker.send?.(file, joins).catch((error) => {
      throw understand(error, file.name);
    });
    const result = parse(String(body));
    const problem = result.problem || result.files?.find((/** @type {any} */ f) => f.problem)?.problem;
    if (problem) {
      await complete();
      throw new Trouble(`problem.${problem.code}`);
    }
    if (!result.files?.length) throw new Trouble("chat.failed");
    order.push(result.files[0].file.id);
  }
  if (joins) {
    const headers = { "content-type": "application/json" };
    // What is not told now, the link's end tells the backend later.
    await fetch(`${link()}/done`, { method: "POST", headers, body: JSON.stringify({ order }) }).catch(() => {});
  }
  tell("chat.sent");
  // The page learns of it from the edge, and shows what becomes of the file. Picks that wait there
  // would be lost.
  if (!document.querySelector('[data-testid="file-row"]')) location.reload();
}

/** @param {import("./picker.js").Picker} picker */
function offerPicker(picker) {
  /** @type {Promise<void> | undefined} */
  let prepared;
  const prepare = () => {
    prepared ??= within(PREPARE_MS, picker.prepare());
    // What failed is tried again at the next tap.
    prepared.catch(() => (prepared = undefined));
    return prepared;
  };
  /** @param {string} kind */
  const pick = async (kind) => {
    const own = ++turn;
    const why = picker.offers();
    if (why) return tell(why);
    tell("chat.opening");
    try {
      await prepare();
      const most = Math.max(1, page.link?.files_left || 1);
      const timer = setTimeout(() => own === turn && tell("chat.silent"), PATIENCE_MS);
      const files = await picker.pick(most, kind).finally(() => clearTimeout(timer));
      if (own !== turn) return;
      if (picker.send) return await send(picker, files);
      const read = [];
      for (const file of files) {
        tell("chat.reading", { name: file.name });
        read.push(await assemble(file));
      }
      tell("");
      await deliver(read);
    } catch (error) {
      if (own === turn) explain(error);
    }
  };
  picker.buttons.forEach((button, at) => {
    const look = at ? "btn soft less" : "btn";
    const made = element("button", { type: "button", class: look, "data-testid": "chat-button" }, text(button.text));
    made.dataset.kind = button.kind;
    made.addEventListener("click", () => pick(button.kind));
    block.insertBefore(made, say);
  });
  // Ready before the first tap, if it can be; a failure is told at the tap.
  if (!picker.offers()) prepare().catch(() => {});
}

async function offerMiniProgram() {
  const program = offer.mini_program;
  if (!offer.configured || !program) return tell("chat.no-mini-program");
  const wechat = await import("./wechat.js");
  const other = element("a", { class: "again", href: wechat.scheme(program), "data-testid": "chat-scheme" }, text("chat.other-way"));
  const fall = (/** @type {unknown} */ error) => {
    explain(error);
    block.append(other);
  };
  try {
    const tag = await wechat.tag(program, text("chat.from-chat"), fall);
    tag.dataset.testid = "chat-tag";
    block.prepend(tag);
  } catch (error) {
    fall(error);
  }
}

async function begin() {
  block.append(say);
  tell("");
  place();
  const app = document.getElementById("app");
  if (app) new MutationObserver(place).observe(app, { childList: true, subtree: true });
  try {
    switch (offer.platform) {
      case "wecom":
        return offerPicker((await import("./wecom.js")).picker(page.link?.accept || []));
      case "dingtalk":
        return offerPicker((await import("./dingtalk.js")).picker());
      case "feishu":
        return offerPicker((await import("./feishu.js")).picker(offer.sdk || ""));
      default:
        return await offerMiniProgram();
    }
  } catch {
    // The chunk did not arrive: the page is as it is elsewhere.
    tell("chat.silent");
  }
}

begin();
