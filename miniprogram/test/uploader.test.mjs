// What a person sees of the mini program, under WeChat's own test tools.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { open, until } from "./stage.mjs";

const require = createRequire(import.meta.url);
const texts = require("../lib/texts.js");
const edge = require("../lib/edge.js");

const TOKEN = "AQEAAAAAAAAAAAAAAAAEZGVtbw";

const LINK = { app_name: "Harbour Insurance", title: "Documents", hint: "A hint.", max_file_size: 1048576, files_left: 3 };

/** What the edge would answer, and WeChat do. */
function wechat({ language = "en", page = { link: LINK, messages: { "problem.link-expired": "It is over." } }, status = 200, picked, upload }) {
  const seen = { requests: [], uploads: [], counts: [] };
  globalThis.wx = {
    getAppBaseInfo: () => ({ language }),
    request({ url, success, fail }) {
      seen.requests.push(url);
      setTimeout(() => (page ? success({ data: page, statusCode: status }) : fail({ errMsg: "request:fail" })), 1);
    },
    chooseMessageFile({ count, type, success, fail }) {
      assert.equal(type, "all");
      seen.counts.push(count);
      setTimeout(() => (Array.isArray(picked) ? success({ tempFiles: picked }) : fail({ errMsg: picked })), 1);
    },
    uploadFile(options) {
      seen.uploads.push(options);
      let progress = () => {};
      setTimeout(() => {
        progress({ progress: 40, totalBytesSent: 4, totalBytesExpectedToSend: 10 });
        const answer = upload(seen.uploads.length);
        if (answer) options.success({ data: answer, statusCode: 200 });
        else options.fail({ errMsg: "uploadFile:fail" });
        options.complete();
      }, 1);
      return { onProgressUpdate: (then) => (progress = then), abort() {} };
    },
  };
  return seen;
}

const stored = JSON.stringify({ files: [{ name: "a.pdf", file: { id: "fil_1", sha256: "00" } }] });
const refused = JSON.stringify({ files: [{ name: "a.exe", problem: { code: "file-type-not-accepted" } }] });

const file = (name, size = 10) => ({ name, size, path: `http://tmp/${name}` });

const shown = (component) => component.dom.textContent.replace(/\s+/g, " ");

test("files are picked from chats, sent one after the other, and told of", async () => {
  const seen = wechat({ picked: [file("合同.pdf"), file("b.pdf")], upload: () => stored });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  assert.match(seen.requests[0], /^https:\/\/files\.example\.com\/u\/AQEA[^?]+\/page\?lang=en$/);
  assert.match(shown(component), /Harbour Insurance asks you for files.*Documents.*A hint\./);
  component.querySelector(".choose").dispatchEvent("tap");
  await until(() => component.data.message);
  assert.deepEqual(seen.counts, [3]);
  const addresses = seen.uploads.map((upload) => upload.url);
  assert.equal(addresses[0], `https://files.example.com/u/${TOKEN}?name=${encodeURIComponent("合同.pdf")}`);
  assert.deepEqual(seen.uploads.map((upload) => [upload.name, upload.header.Accept, upload.filePath]), [
    ["file", "application/json", "http://tmp/合同.pdf"],
    ["file", "application/json", "http://tmp/b.pdf"],
  ]);
  assert.match(shown(component), /合同\.pdf.*Uploaded.*b\.pdf.*Uploaded.*Everything has arrived/);
  assert.equal(component.data.left, 1);
});

test("a refusal is said in the edge's words, and a cut upload can be tried again", async () => {
  const page = { link: LINK, messages: { "problem.file-type-not-accepted": "Not this type." } };
  wechat({ page, picked: [file("a.exe"), file("big.pdf", 2e6), file("c.pdf")], upload: (n) => [refused, "", stored][n - 1] });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  component.instance.choose();
  await until(() => component.data.rows.length === 3 && component.data.rows.every((row) => row.state === "failed"));
  const notes = component.data.rows.map((row) => row.note);
  assert.equal(notes[0], "Not this type.");
  assert.equal(notes[1], "big.pdf is 1.9 MB; at most 1 MB is accepted.");
  assert.match(notes[2], /does not answer/);
  component.instance.retry({ currentTarget: { dataset: { at: 2 } } });
  await until(() => component.data.rows[2].state === "stored");
});

test("each way of failing has its sentence, in both languages", async () => {
  for (const [picked, key] of [["chooseMessageFile:fail cancel", "cancelled"], ["chooseMessageFile:fail auth deny", "denied"]]) {
    for (const [language, tag] of [["en", "en"], ["zh_CN", "zh-CN"]]) {
      wechat({ language, picked });
      const component = open(TOKEN);
      await until(() => component.data.state === "open");
      component.instance.choose();
      await until(() => component.data.message);
      assert.equal(component.data.message, texts.all[tag][key]);
    }
  }
  wechat({ page: { problem: { code: "link-expired" }, messages: { "problem.link-expired": "It is over." } } });
  const ended = open(TOKEN);
  await until(() => ended.data.state === "closed");
  assert.match(shown(ended), /It is over\./);
  for (const options of [{ page: null }, { status: 502 }]) {
    wechat(options);
    const lost = open(TOKEN);
    await until(() => lost.data.state === "lost");
    assert.match(shown(lost), /Try again.*does not answer/);
  }
  const seen = wechat({});
  const broken = open("not/a?token");
  await until(() => broken.data.state === "closed");
  assert.match(shown(broken), /not complete/);
  assert.deepEqual(seen.requests, []);
});

test("both languages say the same things", () => {
  const places = (text) => (text.match(/\{\w+\}/g) || []).sort();
  assert.deepEqual(Object.keys(texts.all["zh-CN"]), Object.keys(texts.all.en));
  for (const [key, text] of Object.entries(texts.all.en)) {
    assert.deepEqual(places(texts.all["zh-CN"][key]), places(text), key);
  }
});

test("an answer that is none is no success", () => {
  for (const body of ["", "<html>", "{}", "null", '{"files":[]}', undefined]) {
    assert.ok(edge.refusal(body), String(body));
  }
  assert.equal(edge.refusal(stored), undefined);
});
