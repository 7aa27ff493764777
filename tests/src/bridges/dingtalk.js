// Stand-in of the native side of DingTalk's pages on Android: `nuva`, as the official SDK calls it
// (npm `dingtalk-jsapi`, lib/bridge/h5Android.js). Its upload is a form post of DingTalk's own, with
// a file name that says nothing. The mode stands after # in the page's address.
(() => {
  const mode = location.hash.slice(1) || "ok";
  if (mode === "nobridge") return;
  const calls = (window.bridgeCalls = []);
  const size = 300_001;
  const bytes = (path) => {
    const made = new Uint8Array(size);
    made.set(new TextEncoder().encode(mode === "program" ? "\x7fELF\x02\x01\x01" : "%PDF-1.7\n"));
    for (let at = 9; at < size; at++) made[at] = (at * (path.length - 5) + (at >> 8)) & 255;
    return made;
  };
  const answers = {
    "runtime.permission.requestJsApis": (done, fail) =>
      mode === "refused" ? fail({ errorCode: "52013", errorMessage: "签名校验失败 signature" }) : done({}),
    "biz.file.chooseFile": (done, fail) => {
      if (mode === "cancel") return fail({ errorCode: "-1", errorMessage: "user cancel" });
      if (mode === "permission") return fail({ errorCode: "7", errorMessage: "no permission" });
      if (mode === "old") return fail({ errorCode: "1", errorMessage: "api not exist" });
      if (mode === "silent") return undefined;
      const files = [{ name: "报价单 v2.pdf", path: "/data/ding/1", size }, { name: "附页.pdf", path: "/data/ding/12", size }];
      return done({ files: files.slice(0, mode === "two" ? 2 : 1) });
    },
    "biz.util.uploadFile": async (done, fail, { url, filePath, fileName, header, formData }) => {
      if (!filePath.startsWith("/data/ding/1") || mode === "cut") return fail({ errorCode: "3", errorMessage: "network error" });
      const form = new FormData();
      for (const [key, value] of Object.entries(formData || {})) form.append(key, value);
      form.append(fileName, new File([bytes(filePath)], "tmp_8271.dat"));
      const answer = await fetch(url, { method: "POST", headers: header, body: form });
      return done({ data: await answer.text(), statusCode: String(answer.status), header: {} });
    },
  };
  const bridge = (done, fail, service, action, params) => {
    const api = `${service}.${action}`;
    calls.push({ api, params });
    const answer = answers[api] || ((_, no) => no({ errorCode: "1", errorMessage: "api not exist" }));
    setTimeout(() => answer(done, fail, params), 20);
  };
  window.nuva = { isReady: true, require: () => bridge };
})();
