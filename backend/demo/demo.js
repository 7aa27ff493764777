// The first app's page. It asks its backend for a link, shows it for sharing, and follows the
// live stream until the file is there. Data reaches the page as text only, never as markup.

import { TEXTS } from "/demo/texts.js";

const chinese = (navigator.languages ?? [navigator.language]).find((l) => /^(zh|en)/i.test(l))?.toLowerCase().startsWith("zh");
const lang = chinese ? "zh-CN" : "en";
const text = TEXTS[chinese ? "zh" : "en"];
const STEPS = ["opened", "uploading", "uploaded", "received", "converted", "delivered"];
/** What the live stream says of a file on its way. */
const TOLD = ["uploaded", "received", "converted", "delivered", "rejected"];
const FINAL = ["delivered", "rejected"];
/** Time between two looks at how far the uploads are, in milliseconds. */
const LOOK_MS = 1000;
/** Most pages of a PDF that are shown in place. */
const PAGES_SHOWN = 30;
const REMEMBERED = "chatlift-request";

const one = (selector) => document.querySelector(selector);
const hook = (id) => one(`[data-testid="${id}"]`);

const panels = { start: one("#start"), scenes: one("#scenes"), request: one("#request") };
const waiting = hook("waiting");
/** Everything in the list, by file id. */
const files = new Map();
/** The request on screen, its live stream, and the next look at its uploads. */
let request = null;
let stream = null;
let looking = null;
/** The files of the request on screen, how far the furthest of them came, and how it ended, if it has. */
let own = new Set();
let furthest = -1;
let ended = null;
let opened = false;

function show(name) {
  for (const [key, panel] of Object.entries(panels)) panel.hidden = key !== name;
  notice("");
}

/** The page has no session, or none that the backend takes. */
class SignedOut extends Error {}

/** What the person reads of a failure. */
function wordsOf(error) {
  return error instanceof SignedOut ? text.signed_out : text.trouble;
}

function notice(words) {
  one("#notice").textContent = words;
  one("#notice").hidden = !words;
}

/** Changes the token, which the address carries behind its # where no server sees it, for a cookie. */
async function signIn() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await fetch("/demo/session", { method: "POST", headers: { authorization: `Bearer ${token}` } });
}

async function call(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response.json();
  if (response.status === 401) throw new SignedOut();
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
    notice(wordsOf(error));
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
  one("#how").open = true;
  own = new Set();
  furthest = -1;
  ended = null;
  opened = false;
  panels.request.classList.remove("opened");
  progress();
  show("request");
  follow(made.id);
  look();
}

function close() {
  stream?.close();
  clearTimeout(looking);
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
  for (const kind of TOLD) {
    source.addEventListener(kind, (event) => {
      const file = JSON.parse(event.data);
      own.add(file.file);
      furthest = Math.max(furthest, STEPS.indexOf(kind));
      if (!FINAL.includes(files.get(file.file)?.status) || FINAL.includes(kind)) put({ ...file, status: kind });
      progress();
      // What has just arrived comes into view; what the stream repeats does not.
      if (kind === "delivered" && Date.now() - Date.parse(file.at) < 5000) {
        cardOf(file.file).scrollIntoView({ block: "nearest" });
      }
    });
  }
  // The members of an archive, and what files are joined to, are shown in their place.
  for (const kind of ["unpacked", "joined"]) {
    source.addEventListener(kind, (event) => {
      take(JSON.parse(event.data).file);
      progress();
    });
  }
  for (const kind of ["completed", "expired"]) {
    source.addEventListener(kind, () => {
      ended = kind;
      progress();
      if (kind === "expired") remember(null);
    });
  }
}

/** Looks at what only the edge knows: whether the link was opened, and how far its uploads are. */
async function look() {
  clearTimeout(looking);
  const id = request?.id;
  if (!id || ended) return;
  if (document.visibilityState === "visible") {
    const now = await call(`/app/requests/${encodeURIComponent(id)}/progress`).catch(() => null);
    if (request?.id !== id) return;
    if (now) uploading(now);
  }
  clearTimeout(looking);
  looking = setTimeout(look, LOOK_MS);
}

function uploading({ opened_at, uploads }) {
  if (opened_at) arrived();
  const now = new Set(uploads.map((upload) => upload.file));
  for (const [id, file] of files) {
    if (file.status === "uploading" && !now.has(id)) take(id);
  }
  for (const { file, name, size, held } of uploads) {
    const known = files.get(file)?.status;
    if (known && known !== "uploading") continue;
    own.add(file);
    put({ file, name, size, media_type: "application/octet-stream", status: "uploading", percent: percent(held, size) });
  }
  progress();
}

/** The link has arrived: its way makes room for the file's. */
function arrived() {
  if (opened) return;
  opened = true;
  one("#how").open = false;
  panels.request.classList.add("opened");
}

function percent(held, size) {
  return size ? Math.floor((held / size) * 100) : 0;
}

/** Shows how far the file that is furthest behind has come. */
function progress() {
  const here = [...own].map((id) => files.get(id)).filter(Boolean);
  if (here.length) arrived();
  const coming = here.filter((file) => file.status !== "rejected");
  const behind = coming.map((file) => file.status).sort((a, b) => STEPS.indexOf(a) - STEPS.indexOf(b))[0];
  let status = behind ?? (here.length ? "rejected" : opened ? "opened" : "");
  if (ended && (status === "" || status === "opened" || status === "delivered")) status = ended;
  const under = coming.filter((file) => file.status === "uploading");
  const sent = percent(under.reduce((sum, file) => sum + (file.size * file.percent) / 100, 0), under.reduce((sum, file) => sum + file.size, 0));
  waiting.dataset.status = status;
  const joining = status === "converted" && request?.join && ended;
  const words = status ? text[joining ? "wait_joining" : `wait_${status}`] : text.wait;
  one("#waiting-text").textContent = status === "uploading" ? words(sent) : words;
  const bar = one("#uploading-bar");
  bar.hidden = status !== "uploading";
  bar.value = sent;
  one("#uploading-text").textContent = status === "uploading" ? text.step_uploading_percent(sent) : text.step_uploading;
  let reached = status === "completed" ? STEPS.length : STEPS.indexOf(status) + 1;
  if (status === "uploading") reached = STEPS.indexOf("uploading");
  // What was rejected has come no further; how far it had come is not undone.
  if (status === "rejected") reached = furthest + 1;
  document.querySelectorAll("[data-step]").forEach((step, i) => {
    step.classList.toggle("done", i < reached);
    step.classList.toggle("now", status === "uploading" ? i === reached : false);
  });
}

// What came.

async function refresh() {
  try {
    for (const delivery of (await call("/app/deliveries")).reverse()) put({ ...delivery, status: "delivered" });
  } catch (error) {
    console.error(error);
    notice(wordsOf(error));
  }
}

function put(file) {
  const { file: id, name, size, media_type, sha256, converted_from, of, note, rejection, reason, status, percent } = file;
  const drawn = { file: id, name, size, media_type, sha256, converted_from, of, note, rejection, reason, status, percent };
  // The same again, by list and by stream: what is shown stays as it is.
  if (JSON.stringify(files.get(id)) === JSON.stringify(drawn)) return;
  files.set(id, drawn);
  const card = draw(drawn);
  const shown = cardOf(id);
  if (shown) shown.replaceWith(card);
  else one("#list").prepend(card);
  one("#empty").hidden = true;
}

/** Takes a file off the list. */
function take(id) {
  files.delete(id);
  own.delete(id);
  cardOf(id)?.remove();
  one("#empty").hidden = files.size > 0;
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

  const coming = file.status === "uploading";
  const facts = coming ? size(file.size) : [size(file.size), type(file.media_type)].join(" · ");
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
  if (file.note) card.append(element("p", { class: "note", dir: "auto", "data-testid": "delivery-note" }, file.note));

  let words = coming ? text.uploading(file.percent) : text[file.status];
  if (coming) {
    card.append(element("progress", { class: "bytes", max: 100, value: file.percent, "aria-label": file.name, "data-testid": "delivery-progress" }));
  }
  if (file.status === "rejected") words = text.rejected_because(text.reasons[file.rejection] ?? file.reason);
  if (arrived && file.of?.length > 1) words += ` · ${text.joined_of(file.of.length)}`;
  else if (arrived && file.converted_from) {
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
  if (mediaType.startsWith("audio/")) return "i-sound";
  if (mediaType.startsWith("video/")) return "i-video";
  return mediaType === "application/pdf" ? "i-claim" : "i-file";
}

/** The pages of a PDF, side by side: phones show no PDF in place, and a strip is quicker to look at. */
function pagesOf(file, content) {
  const base = `/app/deliveries/${encodeURIComponent(file.file)}/pages`;
  const strip = element("div", { class: "pages", tabindex: "0", role: "group", "aria-label": file.name });
  const count = element("span", { class: "count" });
  const open = element("a", { class: "count open", href: content, target: "_blank", rel: "noopener", "aria-label": text.open_pdf }, icon("i-open"));
  const preview = element("div", { class: "preview", "data-testid": "delivery-pdf" }, strip, count, open);
  call(base).then(({ pages }) => {
    for (let n = 1; n <= Math.min(pages, PAGES_SHOWN); n += 1) {
      strip.append(element("img", { src: `${base}/${n}`, loading: n > 2 ? "lazy" : "eager", width: 1080, height: 1527, alt: text.page_of(n, pages), "data-testid": "pdf-page" }));
    }
    const tell = () => {
      const n = Math.round(strip.scrollLeft / Math.max(1, strip.firstElementChild.offsetWidth)) + 1;
      count.textContent = `${Math.min(n, pages)} / ${pages}`;
    };
    strip.addEventListener("scroll", tell, { passive: true });
    strip.classList.toggle("one", pages === 1);
    count.textContent = `1 / ${pages}`;
  }).catch(() => preview.remove());
  return preview;
}

function previewOf(file, content) {
  if (/^image\/(jpeg|png|webp|gif)$/.test(file.media_type)) {
    const image = element("img", { src: content, alt: file.name, "data-testid": "delivery-image" });
    return element("a", { class: "preview", href: content, target: "_blank", rel: "noopener" }, image);
  }
  if (file.media_type === "application/pdf") return pagesOf(file, content);
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
  "audio/mpeg": "MP3",
  "audio/mp4": "M4A",
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
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  refresh();
  look();
});

await signIn();
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
