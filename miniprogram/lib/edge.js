// The edge, as the mini program uses it: what a link asks for, and the plain form that takes files.

/**
 * @typedef {{ code: string }} Problem
 * @typedef {{ name: string, file?: { id: string, sha256?: string }, problem?: Problem }} FormFile
 * @typedef {{ id: string, size: number }} LinkFile
 * @typedef {{ app_name: string, title: string, hint: string, max_file_size: number, files_left: number, note?: boolean, join?: string, files?: LinkFile[] }} Link
 * @typedef {{ link?: Link, problem?: Problem, messages?: Record<string, string>, code?: string }} PageData
 */

/**
 * Whether this can be a link's token: nothing else goes into an address.
 * @param {string} token
 */
const isToken = (token) => /^[A-Za-z0-9_-]{20,200}$/.test(token);

/**
 * Where a link's data are.
 * @param {string} edge
 * @param {string} token
 * @param {string} lang
 */
const dataAddress = (edge, token, lang) => `${edge}/u/${token}/page?lang=${lang}`;

/**
 * Where a file is posted. WeChat sends a temporary name with it, so its own goes into the address.
 * @param {string} edge
 * @param {string} token
 * @param {string} name
 */
const uploadAddress = (edge, token, name) => `${edge}/u/${token}?name=${encodeURIComponent(name)}`;

/**
 * Where the edge is told that all is sent.
 * @param {string} edge
 * @param {string} token
 */
const doneAddress = (edge, token) => `${edge}/u/${token}/done`;

/**
 * Where a link's password is entered.
 * @param {string} edge
 * @param {string} token
 */
const passwordAddress = (edge, token) => `${edge}/u/${token}/password`;

/**
 * The header of whoever has entered the password.
 * @param {string} pass empty where the link has none
 * @returns {Record<string, string>}
 */
const credentials = (pass) => (pass ? { "link-pass": pass } : {});

/**
 * The file of a form's answer, if it is stored.
 * @param {unknown} body
 */
function stored(body) {
  try {
    return /** @type {{ files?: FormFile[] }} */ (JSON.parse(String(body)))?.files?.[0]?.file?.id;
  } catch {
    return undefined;
  }
}

/**
 * What became of the one file of a form: nothing, if it is stored.
 * @param {unknown} body
 * @returns {Problem | undefined}
 */
function refusal(body) {
  /** @type {{ files?: FormFile[], problem?: Problem } | null} */
  let result = null;
  try {
    result = typeof body === "string" ? JSON.parse(body) : null;
  } catch {
    // No answer of the edge: a proxy's, or one that was cut.
  }
  const file = result?.files?.[0];
  if (file?.file) return undefined;
  return file?.problem || result?.problem || { code: "edge-down" };
}

/**
 * A size as people read it.
 * @param {number} bytes
 */
function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let value = bytes;
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
  return `${at && value < 100 ? Math.round(value * 10) / 10 : Math.round(value)} ${units[at]}`;
}

module.exports = { isToken, dataAddress, uploadAddress, doneAddress, passwordAddress, credentials, stored, refusal, size };
