// DingTalk: files by `chooseFile`, which gives a path that only DingTalk itself can read; so its
// own `uploadFile` sends the file to the link's form. The SDK is npm's `dingtalk-jsapi`.

import dd from "dingtalk-jsapi/entry/union";
import { chooseFile$ as chooseFile } from "dingtalk-jsapi/api/union/chooseFile";
import { uploadFile$ as uploadFile } from "dingtalk-jsapi/api/union/uploadFile";

import { ANYTHING, Trouble, address, link, older, signed, understand, version } from "./picker.js";

/** The first client that has both calls (the SDK's own tables say so). */
const SINCE = "7.1.5";

/** @returns {import("./picker.js").Picker} */
export function picker() {
  /** @type {Map<object, string>} */
  const paths = new Map();
  return {
    buttons: ANYTHING,

    offers: () => (older(version(/DingTalk\/([\d.]+)/) || SINCE, SINCE) ? "chat.old" : ""),

    async prepare() {
      const config = await signed("dingtalk", address());
      await new Promise((resolve, reject) => {
        dd.error((/** @type {unknown} */ error) => {
          const trouble = understand(error);
          reject(trouble.key === "chat.failed" ? new Trouble("chat.permission") : trouble);
        });
        dd.config({
          agentId: config.agent_id,
          corpId: config.id,
          timeStamp: config.timestamp,
          nonceStr: config.nonce,
          signature: config.signature,
          type: 0,
          jsApiList: ["biz.file.chooseFile", "biz.util.uploadFile"],
        });
        dd.ready(() => resolve(undefined));
      });
    },

    async pick(most) {
      const answer = await chooseFile({ count: most, multiSelection: most > 1 });
      // The types say one file, the platform gives a list.
      return /** @type {any[]} */ ([]).concat(answer.files).map(({ name, path, size }) => {
        const file = {
          name,
          size: Number(size),
          slice: () => Promise.reject(new Trouble("chat.failed")),
        };
        paths.set(file, path);
        return file;
      });
    },

    async send(file, more) {
      const answer = await uploadFile({
        // The call says nothing of the file's name but in the address.
        url: `${link()}?name=${encodeURIComponent(file.name)}`,
        filePath: String(paths.get(file)),
        fileName: "file",
        fileType: "file",
        header: { Accept: "application/json" },
        formData: more ? { more: "1" } : {},
      });
      return String(answer.data);
    },
  };
}
