// What a person sees of the mini program, under WeChat's own test tools.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { open, until } from "./stage.mjs";

const require = createRequire(import.meta.url);
const texts = require("../lib/texts.js");
const edge = require("../lib/edge.js");
const retry = require("../lib/retry.js");

const TOKEN = "AQEAAAAAAAAAAAAAAAAEZGVtbw";

const LINK = { app_name: "Harbour Insurance", title: "Documents", hint: "A hint.", max_file_size: 1048576, files_left: 3 };

/** What the edge would answer, and WeChat do. */
function wechat({ language = "en", page = { link: LINK, messages: { "problem.link-expired": "It is over." } }, status = 200, picked, upload, request }) {
  const seen = { requests: [], uploads: [], counts: [], aborted: 0, awake: [] };
  globalThis.wx = {
    getAppBaseInfo: () => ({ language }),
    setKeepScreenOn: ({ keepScreenOn }) => seen.awake.push(keepScreenOn),
    request({ url, success, fail, ...options }) {
      seen.requests.push(url);
      if (request) return setTimeout(() => success(request({ url, ...options })), 1);
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
        // One that is neither goes on until it is aborted.
        if (answer === "hangs") return;
        if (answer) options.success({ data: answer, statusCode: 200 });
        else options.fail({ errMsg: "uploadFile:fail" });
      }, 1);
      const abort = () => {
        seen.aborted += 1;
        options.fail({ errMsg: "uploadFile:fail abort" });
      };
      return { onProgressUpdate: (then) => (progress = then), abort };
    },
  };
  return seen;
}

const storedAs = (id) => JSON.stringify({ files: [{ name: "a.pdf", file: { id, sha256: "00" } }] });
const stored = storedAs("fil_1");
const refused = JSON.stringify({ files: [{ name: "a.exe", problem: { code: "file-type-not-accepted" } }] });

const file = (name, size = 10) => ({ name, size, path: `http://tmp/${name}` });

/** A tap on something of a row. */
const of = (component, at) => ({ currentTarget: { dataset: { id: component.data.rows[at].id } } });

const shown = (component) => component.dom.textContent.replace(/\s+/g, " ");

test("files are picked from chats, sent one after the other, and told of", async () => {
  const seen = wechat({ picked: [file("合同.pdf"), file("b.pdf")], upload: (n) => storedAs(`fil_${n}`) });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  assert.match(seen.requests[0], /^https:\/\/files\.example\.com\/u\/AQEA[^?]+\/page\?lang=en$/);
  assert.match(shown(component), /Harbour Insurance asks you for files.*Documents.*A hint\./);
  component.querySelector(".choose").dispatchEvent("tap");
  await until(() => component.data.rows.length === 2);
  // Nothing leaves before it is confirmed.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(seen.uploads, []);
  assert.match(shown(component), /合同\.pdf.*Ready.*Remove.*Upload \(2\)/);
  component.querySelector(".confirm").dispatchEvent("tap");
  await until(() => component.data.message);
  assert.ok(seen.awake.includes(true), "the screen was not kept on");
  assert.equal(seen.awake.at(-1), false);
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

test("a note to the app goes before each file, where the scene asks for one", async () => {
  const page = { link: { ...LINK, note: true }, messages: { "note.label": "Note to {app} (optional)" } };
  const seen = wechat({ page, picked: [file("a.pdf"), file("b.pdf")], upload: (n) => storedAs(`fil_${n}`) });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  assert.match(shown(component), /Note to Harbour Insurance \(optional\)/);
  component.instance.write({ detail: { value: "Roof\nCellar" } });
  component.instance.choose();
  await until(() => component.data.rows.length === 2);
  component.instance.confirm();
  await until(() => component.data.message);
  assert.deepEqual(seen.uploads.map((upload) => upload.formData), [{ note: "Roof\nCellar" }, { note: "Roof\nCellar" }]);
});

test("no note is asked for where the scene asks for none", async () => {
  const seen = wechat({ picked: [file("a.pdf")], upload: () => stored });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  assert.equal(component.querySelector(".written"), undefined);
  component.instance.choose();
  await until(() => component.data.rows.length);
  component.instance.confirm();
  await until(() => component.data.message);
  assert.deepEqual(seen.uploads[0].formData, {});
});

/** Text of the edge for pages that are joined, as in frontend/locales. */
const ORDER = { "order.up": "Move {name} up", "order.down": "Move {name} down", "order.turn": "Turn {name} to the right" };

test("pages that are joined are put into order and turned, and the edge is told of it when all are there", async () => {
  const page = { link: { ...LINK, join: "pdf" }, messages: ORDER };
  const done = [];
  const request = ({ url, method, data }) => {
    if (!url.endsWith("/done")) return { data: page, statusCode: 200 };
    done.push([method, data]);
    // It is told until it answers.
    return done.length === 1 ? { data: "<html>", statusCode: 502 } : { data: "", statusCode: 204 };
  };
  const upload = (n) => (n === 3 ? refused : storedAs(`fil_${n}`));
  const seen = wechat({ request, picked: [file("a.pdf"), file("b.pdf"), file("c.exe")], upload });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  component.instance.choose();
  await until(() => component.data.rows.length === 3);
  assert.deepEqual(Object.values(component.data.rows[1].labels), ["Move b.pdf up", "Move b.pdf down", "Turn b.pdf to the right"]);
  const by = (at, n) => ({ currentTarget: { dataset: { id: component.data.rows[at].id, by: n } } });
  // There is no further to go.
  component.instance.shift(by(0, -1));
  component.instance.shift(by(2, 1));
  component.instance.shift(by(1, -1));
  component.instance.turn(of(component, 0));
  component.instance.turn(of(component, 0));
  assert.match(shown(component), /b\.pdf.*Ready · 180°.*a\.pdf.*c\.exe/);
  component.instance.confirm();
  await until(() => component.data.rows[2].state === "failed");
  assert.deepEqual(seen.uploads.map((upload) => [decodeURIComponent(upload.url.split("=")[1]), upload.formData]), [
    ["b.pdf", { rotate: 180, more: 1 }],
    ["a.pdf", { rotate: 0, more: 1 }],
    ["c.exe", { rotate: 0, more: 1 }],
  ]);
  // Not before the person goes on without what failed.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(done, []);
  component.instance.remove(of(component, 2));
  await until(() => component.data.finishing);
  assert.equal(component.data.message, "");
  await until(() => component.data.message);
  assert.deepEqual(done, Array(2).fill(["POST", { order: ["fil_1", "fil_2"] }]));
  assert.match(shown(component), /Everything has arrived/);
  assert.equal(component.data.left, 0);
  assert.equal(seen.awake.at(-1), false);
});

test("there is nothing to arrange where nothing is joined, nor an order for one file", async () => {
  for (const [join, icons] of [[undefined, 0], ["pdf", 1]]) {
    wechat({ page: { link: { ...LINK, join }, messages: ORDER }, picked: [file("a.pdf")] });
    const component = open(TOKEN);
    await until(() => component.data.state === "open");
    component.instance.choose();
    await until(() => component.data.rows.length);
    assert.equal(component.querySelectorAll(".icon").length, icons);
  }
});

test("a refusal is said in the edge's words, and can be tried again", async () => {
  const page = { link: LINK, messages: { "problem.file-type-not-accepted": "Not this type." } };
  const full = JSON.stringify({ files: [{ name: "c.pdf", problem: { code: "digest-mismatch" } }] });
  wechat({ page, picked: [file("a.exe"), file("big.pdf", 2e6), file("c.pdf")], upload: (n) => [refused, full, stored][n - 1] });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  component.instance.choose();
  await until(() => component.data.rows.length === 3);
  component.instance.confirm();
  await until(() => component.data.rows.every((row) => row.state === "failed"));
  const notes = component.data.rows.map((row) => row.note);
  assert.equal(notes[0], "Not this type.");
  assert.equal(notes[1], "big.pdf is 1.9 MB; at most 1 MB is accepted.");
  component.instance.retry(of(component, 2));
  await until(() => component.data.rows[2].state === "stored");
});

test("an upload that is cut is tried again by itself, later and later, for a quarter of an hour", async () => {
  const seen = wechat({ picked: [file("a.pdf")], upload: (n) => ["", "<html>", stored][n - 1] });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  component.instance.choose();
  await until(() => component.data.rows.length);
  component.instance.confirm();
  await until(() => component.data.rows[0].state === "retrying");
  assert.match(shown(component), /trying again.*Cancel/);
  assert.equal(seen.awake.at(-1), true);
  await until(() => component.data.rows[0].state === "stored");
  assert.equal(seen.uploads.length, 3);
  for (let n = 1; n < 40; n++) {
    assert.ok(retry.wait(n, 0) >= 250 && retry.wait(n, 1) <= retry.LONGEST_MS, String(n));
    assert.ok(retry.wait(n + 1, 1) >= retry.wait(n, 1));
  }
  // Its time is over.
  const { now } = Date;
  wechat({ picked: [file("b.pdf")], upload: () => "" });
  component.instance.choose();
  await until(() => component.data.rows.length === 2);
  component.instance.confirm();
  await until(() => component.data.rows[1].state === "retrying");
  Date.now = () => now() + retry.BUDGET_MS;
  try {
    await until(() => component.data.rows[1].state === "failed");
  } finally {
    Date.now = now;
  }
  assert.match(component.data.rows[1].note, /does not answer/);
});

test("what is removed is not sent, and what is cancelled is gone once the edge has said so", async () => {
  let files;
  const request = () => (files ? { data: { link: { ...LINK, files }, messages: {} }, statusCode: 200 } : { data: "", statusCode: 502 });
  files = [{ id: "fil_old", size: 10 }];
  const seen = wechat({ request, picked: [file("a.pdf"), file("b.pdf"), file("c.pdf")], upload: () => "hangs" });
  const component = open(TOKEN);
  await until(() => component.data.state === "open");
  component.instance.choose();
  await until(() => component.data.rows.length === 3);
  component.instance.remove(of(component, 0));
  assert.equal(component.data.rows.length, 2);
  component.instance.confirm();
  await until(() => component.data.rows[0].percent === 40);
  // No answer: it is not said to be gone.
  files = undefined;
  component.instance.remove(of(component, 0));
  assert.equal(seen.aborted, 1);
  await until(() => seen.requests.length > 2);
  assert.equal(component.data.rows[0].state, "cancelling");
  files = [{ id: "fil_old", size: 10 }];
  await until(() => component.data.rows.length === 1);
  await until(() => component.data.rows[0].percent === 40);
  // The second had arrived.
  files = [...files, { id: "fil_new", size: 10 }];
  component.instance.remove(of(component, 0));
  await until(() => component.data.rows[0].state === "stored");
  assert.match(shown(component), /c\.pdf had arrived before it was cancelled/);
  assert.equal(component.data.left, 2);
  assert.equal(seen.awake.at(-1), false);
});

test("a password is asked for, and what it was exchanged for is sent along", async () => {
  const passes = [];
  const request = ({ url, method, data, header }) => {
    if (method === "POST") {
      assert.match(url, /\/password$/);
      return data.password === "right"
        ? { data: { pass: "p4ss" }, statusCode: 200 }
        : { data: { code: "password-wrong" }, statusCode: 401 };
    }
    passes.push(header["link-pass"]);
    return header["link-pass"] === "p4ss"
      ? { data: { link: LINK, messages: {} }, statusCode: 200 }
      : { data: { code: "password-required" }, statusCode: 401 };
  };
  const seen = wechat({ request, picked: [file("a.pdf")], upload: () => stored });
  const component = open(TOKEN);
  await until(() => component.data.state === "password");
  assert.match(shown(component), /has a password/);
  component.instance.type({ detail: { value: "wrong" } });
  component.instance.enter();
  await until(() => component.data.message === texts.all.en.wrong);
  component.instance.type({ detail: { value: "right" } });
  component.instance.enter();
  await until(() => component.data.state === "open");
  assert.equal(component.data.password, "");
  component.instance.choose();
  await until(() => component.data.rows.length);
  component.instance.confirm();
  await until(() => component.data.rows[0].state === "stored");
  assert.deepEqual(passes, [undefined, "p4ss"]);
  assert.equal(seen.uploads[0].header["link-pass"], "p4ss");
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
