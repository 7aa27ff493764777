// Stand-in of the native side of WeChat's pages: `WeixinJSBridge` for the SDK's config, and the open
// tag `wx-open-launch-weapp` as documented
// (https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_Open_Tag.html): it draws its
// template, and a tap ends in `launch` or `error`. The mode stands after # in the page's address.
(() => {
  const mode = location.hash.slice(1) || "ok";
  if (mode === "nobridge") return;
  window.bridgeCalls = [];
  window.launched = null;
  customElements.define(
    "wx-open-launch-weapp",
    class extends HTMLElement {
      connectedCallback() {
        const template = this.querySelector('script[type="text/wxtag-template"]');
        const root = this.shadowRoot || this.attachShadow({ mode: "open" });
        root.innerHTML = template.textContent;
        root.querySelector("button").onclick = () => {
          if (mode === "fail") return this.dispatchEvent(new CustomEvent("error", { detail: { errMsg: "launch:fail" } }));
          window.launched = ["appid", "username", "path"].map((name) => this.getAttribute(name));
          return this.dispatchEvent(new CustomEvent("launch", { detail: {} }));
        };
      }
    },
  );
  window.WeixinJSBridge = {
    invoke(api, params, callback) {
      window.bridgeCalls.push({ api, params });
      const tags = params.verifyOpenTagList || [];
      const refused = mode === "refused" || (api === "preVerifyJSAPI" && !tags.includes("wx-open-launch-weapp"));
      setTimeout(() => {
        callback({ err_msg: refused ? `${api}:invalid signature` : `${api}:ok` });
        if (mode === "notags") document.dispatchEvent(new CustomEvent("WeixinOpenTagsError", { detail: { errMsg: "system version" } }));
      }, mode === "notags" ? 0 : 20);
      if (mode === "notags") document.dispatchEvent(new CustomEvent("WeixinOpenTagsError", { detail: { errMsg: "system version" } }));
    },
    on() {},
  };
})();
