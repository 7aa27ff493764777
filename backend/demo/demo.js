// The first app's page. It asks its backend for a link, shows it for sharing, and follows the
// live stream until the file is there. Data reaches the page as text only, never as markup.

import { TEXTS } from "/demo/texts.js";

const chinese = (navigator.languages ?? [navigator.language]).find((l) => /^(zh|en)/i.test(l))?.toLowerCase().startsWith("zh");
const lang = chinese ? "zh-CN" : "en";
const text = TEXTS[chinese ? "zh" : "en"];
const STEPS = ["uploaded", "received", "converted", "delivered"];
const FINAL = ["delivered", "rejected"];
const REMEMBERED = "chatlift-request";

const one = (selector) => document.querySelector(selector);
const hook = (id) => one(`[data-testid="${id}"]`);

const panels = { start: one("#start"), scenes: one("#scenes"), request: one("#request") };
const waiting = hook("waiting");
/** Everything in the list, by file id. */
const files = new Map();
/** The request on screen, and its live stream. */
let request = null;
let stream = null;

function show(name) {
  for (const [key, panel] of Object.entries(panels)) panel.hidden = key !== name;
  notice("");
}

function notice(words) {
  one("#notice").textContent = words;
  one("#notice").hidden = !words;
}

async function call(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? problem.title ?? response.statusText);
}

/** A key that makes a repeated request answer with the same link. */
function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

// Asking for a link.

async function ask(scene) {
  const buttons = document.querySelectorAll("[data-scene]");
  const title = one("#scenes-title");
  buttons.forEach((b) => (b.disabled = true));
  title.textContent = text.making;
  notice("");
  try {
    open(await call("/app/requests", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key() },
      body: JSON.stringify({ scene }),
    }));
  } catch (error) {
    console.error(error);
    notice(text.trouble);
  } finally {
    buttons.forEach((b) => (b.disabled = false));
    title.textContent = text.scenes_title;
  }
}

function open(made) {
  request = made;
  remember(made.id);
  const url = hook("link-url");
  url.textContent = url.href = hook("open-link").href = made.url;
  hook("qr").src = made.qr;
  hook("qr").alt = text.qr_hint;
  const when = new Date(made.expires_at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
  one("#until").textContent = text.until(when);
  hook("share").hidden = !navigator.share;
  progress("");
  show("request");
  follow(made.id);
}

function close() {
  stream?.close();
  request = stream = null;
  remember(null);
  show("start");
}

function remember(id) {
  try {
    if (id) localStorage.setItem(REMEMBERED, id);
    else localStorage.removeItem(REMEMBERED);
  } catch {
    // Without storage a reload forgets the request; the files still come.
  }
}

// Sharing it.

async function share() {
  const words = request.share_text[lang] ?? request.share_text.en ?? request.url;
  try {
    await navigator.share({ text: words });
  } catch (error) {
    // Closing the share sheet is an answer, not a failure.
    if (error.name !== "AbortError") await copy();
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText(request.url);
  } catch {
    // No clipboard outside a secure context: select it, so that it can be copied by hand.
    getSelection().selectAllChildren(hook("link-url"));
    document.execCommand("copy");
  }
  const label = one("#copy-text");
  label.textContent = text.copied;
  setTimeout(() => (label.textContent = text.copy), 2000);
}

// Waiting for the file. EventSource comes back by itself with Last-Event-ID.

function follow(id) {
  stream?.close();
  const source = (stream = new EventSource(`/app/requests/${encodeURIComponent(id)}/events`));
  for (const kind of [...STEPS, "rejected"]) {
    source.addEventListener(kind, (event) => {
      const file = JSON.parse(event.data);
      if (!FINAL.includes(files.get(file.file)?.status) || FINAL.includes(kind)) put({ ...file, status: kind });
      progress(kind);
      // What has just arrived comes into view; what the stream repeats does not.
      if (kind === "delivered" && Date.now() - Date.parse(file.at) < 5000) {
        cardOf(file.file).scrollIntoView({ block: "nearest" });
      }
    });
  }
  for (const kind of ["completed", "expired"]) {
    source.addEventListener(kind, () => {
      // The last file may still be on its way: its own steps say so.
      if (![...files.values()].some((f) => !FINAL.includes(f.status))) progress(kind);
      if (kind === "expired") remember(null);
    });
  }
}

function progress(kind) {
  waiting.dataset.status = kind;
  one("#waiting-text").textContent = kind ? text[`wait_${kind}`] : text.wait;
  const reached = kind === "completed" ? STEPS.length : STEPS.indexOf(kind) + 1;
  document.querySelectorAll("[data-step]").forEach((step, i) => step.classList.toggle("done", i < reached));
}

// What came.

async function refresh() {
  try {
    for (const delivery of (await call("/app/deliveries")).reverse()) put({ ...delivery, status: "delivered" });
  } catch (error) {
    console.error(error);
    notice(text.trouble);
  }
}

function put(file) {
  const { file: id, name, size, media_type, sha256, converted_from, rejection, reason, status } = file;
  const drawn = { file: id, name, size, media_type, sha256, converted_from, rejection, reason, status };
  // The same again, by list and by stream: what is shown stays as it is.
  if (JSON.stringify(files.get(id)) === JSON.stringify(drawn)) return;
  files.set(id, drawn);
  const card = draw(drawn);
  const shown = cardOf(id);
  if (shown) shown.replaceWith(card);
  else one("#list").prepend(card);
  one("#empty").hidden = true;
}

function cardOf(id) {
  return one(`[data-file-id="${CSS.escape(id)}"]`);
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${id}`);
  svg.append(use);
  return svg;
}

function draw(file) {
  const arrived = file.status === "delivered";
  const content = `/app/deliveries/${encodeURIComponent(file.file)}/content`;
  const card = element("li", {
    class: "delivery", "data-testid": "delivery", "data-file-id": file.file, "data-status": file.status,
  });
  if (arrived) {
    const preview = previewOf(file, content);
    if (preview) card.append(preview);
  }

  const facts = [size(file.size), type(file.media_type)].join(" · ");
  const about = element("div", { class: "about" },
    element("span", { class: "kind" }, icon(iconOf(file.media_type))),
    element("div", { class: "text" },
      element("p", { class: "name" }, file.name),
      element("p", { class: "facts" }, facts)));
  if (arrived) {
    about.append(element("a", {
      class: "get", href: content, download: file.name, "data-testid": "delivery-download",
      "aria-label": `${text.download}: ${file.name}`,
    }, icon("i-down")));
  }
  card.append(about);

  let words = text[file.status];
  if (file.status === "rejected") words = text.rejected_because(text.reasons[file.rejection] ?? file.reason);
  if (arrived && file.converted_from) {
    words += ` · ${text.converted_from(type(file.converted_from), type(file.media_type))}`;
  }
  card.append(element("p", { class: "status" }, ...(arrived ? [icon("i-check")] : []), element("span", {}, words)));
  if (arrived) {
    card.append(element("p", { class: "digest" }, "SHA-256 ",
      element("code", { "data-testid": "delivery-sha256" }, file.sha256)));
  }
  return card;
}

function iconOf(mediaType) {
  if (mediaType.startsWith("image/")) return "i-image";
  return mediaType === "application/pdf" ? "i-claim" : "i-file";
}

function previewOf(file, content) {
  if (/^image\/(jpeg|png|webp|gif)$/.test(file.media_type)) {
    const image = element("img", { src: content, alt: file.name, "data-testid": "delivery-image" });
    return element("a", { class: "preview", href: content, target: "_blank", rel: "noopener" }, image);
  }
  if (file.media_type === "application/pdf" && !navigator.pdfViewerEnabled) {
    // Phones show no PDF in place: its first page, which opens the whole.
    const image = element("img", { src: `/app/deliveries/${encodeURIComponent(file.file)}/thumbnail`, alt: file.name, "data-testid": "delivery-page" });
    image.addEventListener("error", () => image.closest(".preview")?.remove());
    return element("a", { class: "preview", href: content, target: "_blank", rel: "noopener" }, image);
  }
  if (file.media_type === "application/pdf") {
    const fallback = element("a", { class: "secondary", href: content, target: "_blank", rel: "noopener" }, text.open_pdf);
    return element("div", { class: "preview" },
      element("object", { type: "application/pdf", data: `${content}#toolbar=0&view=FitH`, "aria-label": file.name, "data-testid": "delivery-pdf" }, fallback));
  }
  if (file.media_type === "video/mp4") {
    const poster = `/app/deliveries/${encodeURIComponent(file.file)}/thumbnail`;
    return element("div", { class: "preview" }, element("video", {
      src: content, poster, controls: "", preload: "metadata", playsinline: "", "aria-label": file.name, "data-testid": "delivery-video",
    }));
  }
  if (["audio/mpeg", "audio/mp4"].includes(file.media_type)) {
    return element("div", { class: "preview" }, element("audio", {
      src: content, controls: "", preload: "metadata", "aria-label": file.name, "data-testid": "delivery-audio",
    }));
  }
  return null;
}

function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  const digits = unit && bytes < 10 ? 1 : 0;
  return new Intl.NumberFormat(lang, { style: "unit", unit: units[unit], unitDisplay: unit ? "short" : "long", maximumFractionDigits: digits }).format(bytes);
}

const TYPES = {
  "application/pdf": "PDF",
  "application/zip": "ZIP",
  "application/msword": "Word",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
  "application/octet-stream": chinese ? "文件" : "File",
};

function type(mediaType) {
  const short = mediaType.split("/").pop();
  return TYPES[mediaType] ?? (short.length <= 5 ? short.toUpperCase() : short);
}

// Starting up.

document.documentElement.lang = lang;
document.title = text.brand;
document.querySelectorAll("[data-text]").forEach((e) => (e.textContent = text[e.dataset.text]));
document.querySelectorAll("[data-label]").forEach((e) => e.setAttribute("aria-label", text[e.dataset.label]));
hook("add-document").addEventListener("click", () => show("scenes"));
document.querySelectorAll("[data-scene]").forEach((b) => b.addEventListener("click", () => ask(b.dataset.scene)));
document.querySelectorAll("[data-close]").forEach((b) => b.addEventListener("click", close));
hook("share").addEventListener("click", share);
hook("copy").addEventListener("click", copy);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());

await refresh();
let remembered = null;
try {
  remembered = localStorage.getItem(REMEMBERED);
} catch {
  // As above.
}
if (remembered) {
  const known = await call(`/app/requests/${encodeURIComponent(remembered)}`).catch(() => null);
  if (known?.state === "active" && !request) open(known);
  else if (!known || !request) remember(null);
}
