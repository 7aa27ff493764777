// WeChat: its pages have no picker for the chats' files, its mini programs have one. So the page
// opens the company's mini program: by the open tag `wx-open-launch-weapp`, and by a URL scheme
// where the tag does not work.
// <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_Open_Tag.html>,
// <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/url-scheme.html>

import { register, updateAppMessageShareData } from "@wecom/jssdk";

import { PREPARE_MS, Trouble, address, link, signed, within } from "./picker.js";

const TAG = "wx-open-launch-weapp";

/**
 * The open tag, once WeChat accepts the page.
 * @param {NonNullable<import("./picker.js").Offer["mini_program"]>} program
 * @param {string} label
 * @param {(trouble: Trouble) => void} failed told when a tap does not open the mini program
 * @returns {Promise<HTMLElement>}
 */
export async function tag(program, label, failed) {
  const config = await signed("wechat", address());
  const { timestamp, nonce: nonceStr, signature } = config;
  const accepted = new Promise((resolve, reject) => {
    document.addEventListener("WeixinOpenTagsError", () => reject(new Trouble("chat.old")));
    register({
      corpId: config.id,
      openTagList: [TAG],
      jsApiList: ["updateAppMessageShareData"],
      getConfigSignature: () => ({ timestamp, nonceStr, signature }),
      onConfigSuccess: resolve,
      onConfigFail: () => reject(new Trouble("chat.permission")),
    });
  });
  await within(PREPARE_MS, accepted);
  share();
  const element = document.createElement(TAG);
  element.setAttribute("appid", program.app_id);
  element.setAttribute("username", program.original_id);
  element.setAttribute("path", `${program.path}?${query()}`);
  // What is drawn stands in a template of WeChat's, apart from the page's style.
  const template = document.createElement("script");
  template.type = "text/wxtag-template";
  template.textContent =
    "<style>button{width:100%;min-height:56px;border:0;border-radius:16px;background:#2455ea;color:#fff;font:600 17px/1.3 sans-serif}</style>" +
    `<button>${label.replace(/[<&]/g, (sign) => (sign === "<" ? "&lt;" : "&amp;"))}</button>`;
  element.append(template);
  element.addEventListener("error", () => failed(new Trouble("chat.failed")));
  return element;
}

/**
 * What a card of this page says when it is passed on: what the page's own preview card says. Where the account
 * may not set it, WeChat draws the card by itself.
 * <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/JS-SDK.html>, "自定义“分享给朋友”"
 */
function share() {
  const said = (/** @type {string} */ name) =>
    document.querySelector(`meta[property="og:${name}"]`)?.getAttribute("content") || "";
  const card = { title: said("title"), desc: said("description"), link: address(), imgUrl: said("image") };
  Promise.resolve(updateAppMessageShareData(card)).catch(() => {});
}

/**
 * The plain URL scheme, which needs no call to WeChat. The mini program must allow its page in it.
 * @param {NonNullable<import("./picker.js").Offer["mini_program"]>} program
 */
export function scheme(program) {
  const parts = [
    `appid=${encodeURIComponent(program.app_id)}`,
    // As it stands in app.json, unescaped.
    `path=${program.path}`,
    `query=${encodeURIComponent(query())}`,
  ];
  return `weixin://dl/business/?${parts.join("&")}`;
}

/** Which link the mini program is to upload to; it knows the edge itself. */
const query = () => `token=${encodeURIComponent(link().split("/").pop() || "")}`;
