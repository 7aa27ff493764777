// Stand-in of the native side of WeCom's pages: `WeixinJSBridge`, as the official SDK calls it and
// as its documentation says that it answers (https://developer.work.weixin.qq.com/document/path/100057
// and the SDK's own types). How it behaves stands after # in the page's address.
(() => {
  const mode = location.hash.slice(1) || "ok";
  if (mode === "nobridge") return;
  const calls = (window.bridgeCalls = []);
  const name = "合同 final.pdf";
  const size = 3_000_001;
  const bytes = () => {
    // The same bytes as `bridges::content` in the tests.
    const made = new Uint8Array(size);
    made.set(new TextEncoder().encode("%PDF-1.7\n"));
    for (let at = 9; at < size; at++) made[at] = (at * 7 + (at >> 8)) & 255;
    return made;
  };
  const base64 = () => {
    let binary = "";
    const all = bytes();
    for (let at = 0; at < all.length; at += 32768) binary += String.fromCharCode(...all.subarray(at, at + 32768));
    return btoa(binary);
  };
  const ok = (api, more) => ({ err_msg: `${api}:ok`, ...more });
  const answers = {
    agentConfig: () => (mode === "refused" ? { err_msg: "agentConfig:invalid signature" } : ok("agentConfig")),
    preVerifyJSAPI: () => (mode === "refused" ? { err_msg: "preVerifyJSAPI:invalid signature" } : ok("preVerifyJSAPI")),
    chooseMessageFile: () => {
      if (mode === "cancel") return { err_msg: "chooseMessageFile:cancel" };
      if (mode === "permission") return { err_msg: "chooseMessageFile:no permission" };
      if (mode === "silent") return null;
      const tempFiles = [{ localId: "wxLocalResource://1", size: mode === "large" ? 20 * 1024 * 1024 + 1 : size, name, type: "file", time: 1_700_000_000 }];
      return ok("chooseMessageFile", { tempFiles });
    },
    getLocalFileData: ({ localId }) => {
      if (localId !== "wxLocalResource://1" || mode === "gone") return { err_msg: "getLocalFileData:no such file" };
      if (mode === "exceed") return { err_msg: "getLocalFileData:file exceed size limit" };
      const data = base64();
      return ok("getLocalFileData", { localData: mode === "short" ? data.slice(0, 400_000) : data });
    },
  };
  const bridge = {
    invoke(api, params, callback) {
      calls.push({ api, params });
      const answer = answers[api] ? answers[api](params) : { err_msg: `${api}:function not exist` };
      // No answer at all is a mode too.
      if (answer) setTimeout(() => callback(answer), 20);
    },
    on() {},
  };
  // It is injected some time after the page's own scripts have begun.
  setTimeout(() => {
    window.WeixinJSBridge = bridge;
    document.dispatchEvent(new Event("WeixinJSBridgeReady"));
  }, 100);
})();
