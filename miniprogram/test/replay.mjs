// Runs the mini program against a real edge: `node replay.mjs <link> <file> <name> [note]`. Its requests go
// out as WeChat sends them: an upload is a form of one file under a temporary name. Prints what the
// component shows at the end, as JSON. tests/tests/edge/miniprogram.rs runs this.

import { readFile } from "node:fs/promises";

import { config, open, until } from "./stage.mjs";

const [link, path, name, note] = process.argv.slice(2);
const { origin, pathname } = new URL(link);
config.edge = origin;

const sent = [];
const bytes = await readFile(path);

globalThis.wx = {
  getAppBaseInfo: () => ({ language: "zh_CN" }),
  request({ url, header, success, fail }) {
    sent.push(url);
    fetch(url, { headers: header })
      .then(async (answer) => success({ data: await answer.json(), statusCode: answer.status }))
      .catch((error) => fail({ errMsg: `request:fail ${error}` }));
  },
  chooseMessageFile({ success }) {
    success({ tempFiles: [{ path, name, size: bytes.length, type: "file", time: 1700000000 }] });
  },
  uploadFile({ url, filePath, name: field, header, formData, success, fail }) {
    sent.push(url);
    const form = new FormData();
    for (const [key, value] of Object.entries(formData || {})) form.append(key, String(value));
    form.append(field, new File([bytes], filePath.split("/").pop()));
    fetch(url, { method: "POST", headers: header, body: form })
      .then(async (answer) => success({ data: await answer.text(), statusCode: answer.status }))
      .catch((error) => fail({ errMsg: `uploadFile:fail ${error}` }));
    return { onProgressUpdate() {}, abort() {} };
  },
};

const component = open(pathname.split("/").pop());
await until(() => component.data.state !== "loading");
if (component.data.state === "open") {
  if (note) component.instance.write({ detail: { value: note } });
  component.instance.choose();
  await until(() => component.data.rows.length);
  component.instance.confirm();
  await until(() => component.data.rows.length && component.data.rows.every((row) => /stored|failed/.test(row.state)));
}
const { state, title, message, rows } = component.data;
console.log(JSON.stringify({ state, title, message, rows, sent }));
process.exit(0);
