// Runs the mini program against a real edge: `node replay.mjs <link> <file> <names> [note]`. Its requests go
// out as WeChat sends them: an upload is a form of one file under a temporary name. The file is picked once under each of
// the names, which commas part; the last one of pages that are joined is turned and moved up. Prints what the component
// shows at the end, as JSON. tests/tests/edge/miniprogram.rs runs this.

import { readFile } from "node:fs/promises";

import { config, open, until } from "./stage.mjs";

const [link, path, names, note] = process.argv.slice(2);
const { origin, pathname } = new URL(link);
config.edge = origin;

const sent = [];
const bytes = await readFile(path);

globalThis.wx = {
  getAppBaseInfo: () => ({ language: "zh_CN" }),
  request({ url, method = "GET", header, data, success, fail }) {
    sent.push(url);
    const body = data && JSON.stringify(data);
    fetch(url, { method, headers: { "content-type": "application/json", ...header }, body })
      .then(async (answer) => {
        const text = await answer.text();
        success({ data: text && JSON.parse(text), statusCode: answer.status });
      })
      .catch((error) => fail({ errMsg: `request:fail ${error}` }));
  },
  chooseMessageFile({ success }) {
    const picked = (name) => ({ path, name, size: bytes.length, type: "file", time: 1700000000 });
    success({ tempFiles: names.split(",").map(picked) });
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
  if (component.data.joins) {
    const dataset = { id: component.data.rows.at(-1).id, by: -1 };
    component.instance.turn({ currentTarget: { dataset } });
    component.instance.shift({ currentTarget: { dataset } });
  }
  component.instance.confirm();
  await until(() => component.data.rows.every((row) => /stored|failed/.test(row.state)) && !component.data.finishing);
}
const { state, title, message, rows } = component.data;
console.log(JSON.stringify({ state, title, message, rows, sent }));
process.exit(0);
