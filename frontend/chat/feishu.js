// Feishu and Lark: files by `tt.filePicker`, their bytes by `FileSystemManager.readFile`, a stretch
// at a time. The SDK is served by Feishu only, and loaded from there.
// <https://open.feishu.cn/document/client-docs/gadget/-web-app-api/file/filepicker>,
// <https://open.feishu.cn/document/client-docs/gadget/-web-app-api/file/file_system_manager/file_system_manager_read_file>

import { ANYTHING, Trouble, address, decode, older, signed, understand, version } from "./picker.js";

/** The first clients whose pages can read a file: phones, and computers. */
const SINCE = { phone: "4.11.0", desk: "5.23.0" };

/**
 * Most bytes that a computer's client reads of files in all. Phones have no such limit.
 */
const DESK_MOST = 40 * 1024 * 1024;

const isPhone = () => /Android|iPhone|iPad|Harmony/.test(navigator.userAgent);

/**
 * @param {string} sdk where the SDK is
 * @returns {import("./picker.js").Picker}
 */
export function picker(sdk) {
  return {
    buttons: ANYTHING,

    offers() {
      const own = version(/(?:Lark|Feishu)\/([\d.]+)/);
      return older(own, isPhone() ? SINCE.phone : SINCE.desk) ? "chat.old" : "";
    },

    async prepare() {
      const [config] = await Promise.all([signed("feishu", address()), load(sdk)]);
      const { h5sdk } = /** @type {any} */ (window);
      await new Promise((resolve, reject) => {
        const refused = () => reject(new Trouble("chat.permission"));
        h5sdk.error(refused);
        h5sdk.config({
          appId: config.id,
          timestamp: config.timestamp,
          nonceStr: config.nonce,
          signature: config.signature,
          jsApiList: ["filePicker", "getFileSystemManager"],
          onSuccess: () => h5sdk.ready(resolve),
          onFail: refused,
        });
      });
    },

    async pick(most) {
      const { tt } = /** @type {any} */ (window);
      const { list } = await call(tt, tt.filePicker, { maxNum: most, isSystem: false });
      const files = tt.getFileSystemManager();
      return list.map((/** @type {any} */ { path, name, size }) => {
        if (!isPhone() && size > DESK_MOST) throw new Trouble("chat.large", { name });
        return {
          name,
          size: Number(size),
          async slice(/** @type {number} */ start, /** @type {number} */ end) {
            const stretch = { filePath: path, encoding: "base64", position: start, length: end - start };
            const { data } = await call(files, files.readFile, stretch).catch((error) => {
              throw understand(error, name);
            });
            return decode(data);
          },
        };
      });
    },
  };
}

/**
 * Loads the SDK, which makes `h5sdk` and `tt`.
 * @param {string} src
 */
function load(src) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = () => ("h5sdk" in window ? resolve(undefined) : reject(new Trouble("chat.silent")));
    script.onerror = () => reject(new Trouble("chat.silent"));
    document.head.append(script);
  });
}

/**
 * A call with `success` and `fail`, as a promise.
 * @param {any} self
 * @param {Function} method
 * @param {object} options
 * @returns {Promise<any>}
 */
function call(self, method, options) {
  return new Promise((resolve, reject) => {
    if (typeof method !== "function") reject(new Trouble("chat.old"));
    else method.call(self, { ...options, success: resolve, fail: reject });
  });
}
