// What every chat app's picker is to the page, and what they share.
//
// The page's program knows one thing: files, with a name, a size, a type, and slices that can be
// read. Here each chat app's own picker is turned into that, so the program has nothing of any chat
// app in it.

/**
 * A file in a chat, before it is a file of the browser.
 * @typedef {object} ChatFile
 * @property {string} name
 * @property {number} size in bytes
 * @property {number} [lastModified] milliseconds since 1970
 * @property {(start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>} slice reads a stretch of it
 */

/**
 * A chat app's picker.
 * @typedef {object} Picker
 * @property {() => string} offers what it can do here: "" if it can pick, else the key of the
 *   sentence that says why not
 * @property {() => Promise<void>} prepare has the chat app accept the page; once
 * @property {{ kind: string, text: string }[]} buttons what it can pick, each by a button of its own
 * @property {(most: number, kind: string) => Promise<ChatFile[]>} pick opens the picker
 * @property {(file: ChatFile, more: boolean) => Promise<string>} [send] uploads a file by the chat app's own
 *   means, where the page cannot read it, and says whether the edge is told later that all are there; answers with the
 *   body of the edge's answer
 */

/**
 * What the edge put into the page.
 * @typedef {object} Offer
 * @property {"wecom" | "wechat" | "dingtalk" | "feishu"} platform
 * @property {boolean} configured whether the company has an account there
 * @property {Record<string, string>} texts
 * @property {string} [sdk] where Feishu's SDK is
 * @property {{ app_id: string, original_id: string, path: string }} [mini_program] WeChat's
 */

/**
 * What the edge signed, see `ChatConfig` in shared/src/chat.rs.
 * @typedef {object} Config
 * @property {string} id
 * @property {string} [agent_id]
 * @property {number} timestamp
 * @property {string} nonce
 * @property {string} signature
 * @property {string} [agent_signature]
 */

/** The button of a picker that picks anything. */
export const ANYTHING = [{ kind: "", text: "chat.from-chat" }];

/** Why there is no file: the key of a sentence, and what stands in it. */
export class Trouble extends Error {
  /**
   * @param {string} key
   * @param {Record<string, string>} [values]
   */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** How long the edge and a chat app have to accept the page, in milliseconds. */
export const PREPARE_MS = 12000;

/** How long a chat app has to give out a stretch of a file, in milliseconds. */
export const READ_MS = 60000;

/**
 * Bytes of a file that are read at once. Divisible by three, so that each stretch is whole groups
 * of base64.
 */
export const SLICE = 768 * 1024;

/**
 * `promise`, unless it takes longer.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Trouble("chat.silent")), ms);
    const end = () => clearTimeout(timer);
    promise.then(resolve, reject).then(end, end);
  });
}

/** The page's address up to `#`: what is signed. */
export const address = () => location.href.split("#")[0];

/** The link's address. */
export const link = () => location.origin + location.pathname.replace(/\/$/, "");

/**
 * Asks the edge for a signature.
 * @param {string} platform
 * @param {string} url
 * @returns {Promise<Config>}
 */
export async function signed(platform, url) {
  const query = `platform=${platform}&url=${encodeURIComponent(url)}`;
  let answer;
  try {
    answer = await fetch(`${link()}/chat-config?${query}`);
  } catch {
    throw new Trouble("chat.offline");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(`problem.${body.code || "chat-unavailable"}`);
  return body;
}

/**
 * The bytes of base64, by the browser's own decoder.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function decode(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/**
 * Makes a file of the browser, a stretch at a time: each becomes a blob, which the browser keeps
 * outside of the page's memory, so what was read before need not stay.
 * @param {ChatFile} file
 * @returns {Promise<File>}
 */
export async function assemble(file) {
  const parts = [];
  for (let at = 0; at < file.size; at += SLICE) {
    const end = Math.min(at + SLICE, file.size);
    const bytes = await within(READ_MS, file.slice(at, end));
    if (bytes.length !== end - at) throw new Trouble("chat.unreadable", { name: file.name });
    parts.push(new Blob([bytes]));
  }
  return new File(parts, file.name, { lastModified: file.lastModified || 0 });
}

/**
 * Whether version `a` is older than `b`.
 * @param {string} a
 * @param {string} b
 */
export function older(a, b) {
  const [own, wanted] = [a, b].map((version) => version.split(".").map(Number));
  for (let at = 0; at < wanted.length; at++) {
    const difference = (own[at] || 0) - wanted[at];
    if (difference) return difference < 0;
  }
  return false;
}

/**
 * The version in the user agent after `mark`, or "".
 * @param {RegExp} mark
 */
export const version = (mark) => (mark.exec(navigator.userAgent) || [])[1] || "";

/**
 * What a chat app said, as a trouble: they tell by words what they do not tell by codes.
 * @param {unknown} error
 * @param {string} [name]
 */
export function understand(error, name = "") {
  if (error instanceof Trouble) return error;
  const { errMsg, errorMessage, message, errno, errCode, errorCode } = Object(error);
  const words = [errMsg, errorMessage, message].join(" ").toLowerCase();
  const code = String(errorCode ?? errCode ?? errno ?? "");
  const of = (/** @type {RegExp} */ pattern) => pattern.test(words);
  // DingTalk: -1 is the user's own no, 7 is no permission, 1 is no such call.
  if (of(/cancel/) || (code === "-1" && errorCode !== undefined)) return new Trouble("chat.cancelled");
  if (of(/size limit|exceed/)) return new Trouble("chat.large", { name });
  if (of(/no such file/)) return new Trouble("chat.gone", { name });
  if (of(/permission|access denied|signature|auth|not allow/) || code === "7") return new Trouble("chat.permission");
  if (of(/not exist|not support|not implemented/) || code === "1") return new Trouble("chat.old");
  return new Trouble("chat.failed");
}
