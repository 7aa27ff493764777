// WeCom: files of its chats by `chooseMessageFile`, their bytes by `getLocalFileData`.
// <https://developer.work.weixin.qq.com/document/path/100057>; the SDK is npm's `@wecom/jssdk`.

import { chooseMessageFile, ensureConfigReady, getLocalFileData, register } from "@wecom/jssdk";

import { READ_MS, Trouble, address, decode, older, signed, understand, version, within } from "./picker.js";

/** The first client that has both calls, on phones (the SDK's own types say so). */
const SINCE = "4.0.20";

/** Largest file that `getLocalFileData` gives out, in bytes. */
const MOST = 20 * 1024 * 1024;

/** Most files that one pick takes. */
const COUNT_MAX = 100;

/** What one pick can be of: WeCom has pictures and everything else apart. */
const PICTURES = "video_and_image";
const FILES = "file";

/**
 * @param {string[]} accept media ranges that the link takes
 * @returns {import("./picker.js").Picker}
 */
export function picker(accept) {
  const isPicture = (/** @type {string} */ range) => /^(image|video)\//.test(range);
  const kinds = [];
  if (!accept.every(isPicture)) kinds.push(FILES);
  if (accept.some((range) => isPicture(range) || range === "*/*")) kinds.push(PICTURES);
  return {
    buttons: kinds.map((kind) => ({ kind, text: kind === FILES ? "chat.from-chat" : "chat.pictures" })),

    offers() {
      const phone = /Android|iPhone|iPad/.test(navigator.userAgent);
      if (!phone) return "chat.phone-only";
      return older(version(/wxwork\/([\d.]+)/), SINCE) ? "chat.old" : "";
    },

    async prepare() {
      // One request for both signatures; the SDK asks for them one after the other.
      const config = await signed("wecom", address());
      const { timestamp, nonce: nonceStr } = config;
      const failed = new Promise((_, reject) => {
        register({
          corpId: config.id,
          agentId: config.agent_id,
          jsApiList: ["chooseMessageFile", "getLocalFileData"],
          getConfigSignature: () => ({ timestamp, nonceStr, signature: config.signature }),
          getAgentConfigSignature: () => ({ timestamp, nonceStr, signature: String(config.agent_signature) }),
          onAgentConfigFail: reject,
        });
      });
      await Promise.race([ensureConfigReady(), failed]).catch((error) => {
        // A page that may not call is told so in many words.
        const trouble = understand(error);
        throw trouble.key === "chat.failed" ? new Trouble("chat.permission") : trouble;
      });
    },

    async pick(most, kind) {
      const { tempFiles } = await chooseMessageFile({
        count: Math.max(1, Math.min(most, COUNT_MAX)),
        type: /** @type {import("@wecom/jssdk").ChooseMessageFileType} */ (kind),
      });
      return tempFiles.map(({ localId, size, name, time }) => {
        if (size > MOST) throw new Trouble("chat.large", { name });
        /** The whole file, as WeCom gives it: at most 27 MB of base64. */
        let data = "";
        return {
          name,
          size,
          lastModified: time * 1000,
          async slice(start, end) {
            try {
              if (!data) data = (await within(READ_MS, getLocalFileData({ localId }))).localData;
            } catch (error) {
              throw understand(error, name);
            }
            const bytes = decode(data.slice((start / 3) * 4, Math.ceil(end / 3) * 4));
            if (end >= size) data = "";
            return bytes;
          },
        };
      });
    },
  };
}
