// Stand-in of Feishu's H5 SDK, which is served by Feishu only and is not to be had here: `h5sdk` and
// `tt` as documented (https://open.feishu.cn/document/client-docs/gadget/-web-app-api/file/filepicker,
// .../file_system_manager_read_file, https://open.feishu.cn/document/uYjL24iN/uQjMuQjMuQjM/authentication/h5sdkconfig).
// The mode stands after # in the page's address.
(() => {
  const mode = location.hash.slice(1) || "ok";
  const calls = (window.bridgeCalls = []);
  const size = 2_000_003;
  const bytes = (from, to) => {
    const head = new TextEncoder().encode("%PDF-1.7\n");
    return Uint8Array.from({ length: to - from }, (_, n) => {
      const at = from + n;
      return at < 9 ? head[at] : (at * 7 + (at >> 8)) & 255;
    });
  };
  let onError = () => {};
  window.h5sdk = {
    error: (then) => (onError = then),
    ready: (then) => setTimeout(then, 20),
    config(options) {
      calls.push({ api: "config", params: { ...options, onSuccess: undefined, onFail: undefined } });
      if (mode === "silent-config") return;
      setTimeout(() => {
        if (mode !== "refused") return options.onSuccess({});
        options.onFail({ errorCode: 333444, errorMessage: "signature verify failed" });
        return onError({ errorCode: 333444 });
      }, 20);
    },
  };
  window.tt = {
    filePicker({ maxNum, success, fail }) {
      calls.push({ api: "filePicker", params: { maxNum } });
      if (mode === "silent") return;
      setTimeout(() => {
        if (mode === "cancel") return fail({ errMsg: "filePicker:fail cancel", errno: 104 });
        if (mode === "permission") return fail({ errMsg: "filePicker:fail auth deny", errno: 103 });
        return success({ errMsg: "filePicker:ok", list: [{ path: "ttfile://temp/1.pdf", name: "方案 B.pdf", size }] });
      }, 20);
    },
    getFileSystemManager: () => ({
      readFile({ filePath, encoding, position, length, success, fail }) {
        calls.push({ api: "readFile", params: { position, length } });
        setTimeout(() => {
          if (filePath !== "ttfile://temp/1.pdf" || encoding !== "base64" || mode === "gone") {
            return fail({ errMsg: "readFile:fail no such file or directory", errno: 1400003 });
          }
          const to = Math.min(size, position + length);
          let binary = "";
          for (const byte of bytes(position, to)) binary += String.fromCharCode(byte);
          return success({ errMsg: "readFile:ok", data: btoa(binary) });
        }, 5);
      },
    }),
  };
})();
