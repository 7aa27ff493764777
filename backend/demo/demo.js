// The first app's page. It asks its backend for a link, shows it for sharing, and follows the
// live stream until the file is there. Data reaches the page as text only, never as markup.

const TEXTS = {
  en: {
    brand: "Harbour Insurance",
    claim_number: "Claim HI-20418",
    claim_title: "Water damage, kitchen",
    claim_state: "We need your documents",
    add: "Add a document from a chat",
    add_hint: "Photos, invoices or forms that someone sent you in a chat app.",
    scenes_title: "What would you like to add?",
    scene_claim: "Documents for your claim",
    scene_claim_hint: "Photos, PDF and Word files",
    scene_any: "Any file",
    scene_any_hint: "Everything else, as it is",
    share_title: "Send this link to a chat",
    share_hint: "Open it in the chat, choose the file there, and it appears here.",
    share: "Share to a chat",
    copy: "Copy",
    copied: "Copied",
    open_here: "Open here",
    qr_hint: "Or scan this with the phone that has the chat.",
    until: (when) => `The link works until ${when}.`,
    making: "Making your link…",
    wait: "Waiting for your file…",
    wait_uploaded: "Uploaded. Fetching it…",
    wait_received: "Received. Preparing it…",
    wait_converted: "Ready. Adding it to your claim…",
    wait_delivered: "Your file has arrived.",
    wait_rejected: "This file could not be added.",
    wait_completed: "All files have arrived.",
    wait_expired: "The link has expired. Please make a new one.",
    step_uploaded: "Uploaded",
    step_received: "Received",
    step_converted: "Prepared",
    step_delivered: "In your claim",
    documents: "Your documents",
    empty: "Nothing here yet.",
    delivered: "In your claim",
    uploaded: "Uploaded, being fetched…",
    received: "Received, being prepared…",
    converted: "Prepared, being added…",
    rejected: "Could not be added",
    converted_from: (from, to) => `${from} converted to ${to}`,
    download: "Download",
    open_pdf: "Open the document",
    close: "Close",
    trouble: "That did not work. Please try again in a moment.",
  },
  zh: {
    brand: "海港保险",
    claim_number: "理赔编号 HI-20418",
    claim_title: "厨房水渍损失",
    claim_state: "请补充理赔材料",
    add: "从聊天中添加文件",
    add_hint: "别人在聊天应用里发给您的照片、发票或表格。",
    scenes_title: "您要添加什么？",
    scene_claim: "理赔材料",
    scene_claim_hint: "照片、PDF 和 Word 文件",
    scene_any: "任意文件",
    scene_any_hint: "其他文件，原样接收",
    share_title: "把链接发到聊天中",
    share_hint: "在聊天里打开它，选择文件，文件就会出现在这里。",
    share: "分享到聊天",
    copy: "复制",
    copied: "已复制",
    open_here: "在此打开",
    qr_hint: "或用装有聊天应用的手机扫码。",
    until: (when) => `链接有效期至 ${when}。`,
    making: "正在生成链接…",
    wait: "正在等待您的文件…",
    wait_uploaded: "已上传，正在取回…",
    wait_received: "已收到，正在处理…",
    wait_converted: "已就绪，正在加入理赔…",
    wait_delivered: "文件已送达。",
    wait_rejected: "此文件无法添加。",
    wait_completed: "所有文件均已送达。",
    wait_expired: "链接已过期，请重新生成。",
    step_uploaded: "已上传",
    step_received: "已收到",
    step_converted: "已处理",
    step_delivered: "已加入理赔",
    documents: "您的文件",
    empty: "还没有文件。",
    delivered: "已加入理赔",
    uploaded: "已上传，正在取回…",
    received: "已收到，正在处理…",
    converted: "已处理，正在加入…",
    rejected: "无法添加",
    converted_from: (from, to) => `已由 ${from} 转换为 ${to}`,
    download: "下载",
    open_pdf: "打开文档",
    close: "关闭",
    trouble: "操作未成功，请稍后再试。",
  },
};

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
  const { file: id, name, size, media_type, sha256, converted_from, reason, status } = file;
  const drawn = { file: id, name, size, media_type, sha256, converted_from, reason, status };
  // The same again, by list and by stream: what is shown stays as it is.
  if (JSON.stringify(files.get(id)) === JSON.stringify(drawn)) return;
  files.set(id, drawn);
  const card = draw(drawn);
  const shown = one(`[data-file-id="${CSS.escape(file.file)}"]`);
  if (shown) shown.replaceWith(card);
  else one("#list").prepend(card);
  one("#empty").hidden = true;
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
    element("span", { class: "kind" }, icon(file.media_type === "application/pdf" ? "i-claim" : "i-file")),
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
  if (file.status === "rejected" && file.reason) words = `${text.rejected}: ${file.reason}`;
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

function previewOf(file, content) {
  if (/^image\/(jpeg|png|webp|gif)$/.test(file.media_type)) {
    const image = element("img", { src: content, alt: file.name, "data-testid": "delivery-image" });
    return element("a", { class: "preview", href: content, target: "_blank", rel: "noopener" }, image);
  }
  if (file.media_type === "application/pdf" && navigator.pdfViewerEnabled) {
    const fallback = element("a", { class: "secondary", href: content, target: "_blank", rel: "noopener" }, text.open_pdf);
    return element("div", { class: "preview" },
      element("object", { type: "application/pdf", data: `${content}#toolbar=0&view=FitH`, "aria-label": file.name, "data-testid": "delivery-pdf" }, fallback));
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
