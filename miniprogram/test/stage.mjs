// The mini program's component under WeChat's own test tools: its templates and styles go through
// the official compilers (wcc, wcsc), its script runs as it is, and `wx` is a stand-in that follows
// <https://developers.weixin.qq.com/miniprogram/dev/api/>.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { JSDOM } from "jsdom";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("..", import.meta.url));

const { window } = new JSDOM("<!doctype html><body></body>", { pretendToBeVisual: true });
for (const name of ["window", "document", "HTMLElement", "Node", "Event", "CustomEvent", "MutationObserver"]) {
  Object.defineProperty(globalThis, name, {
    value: name === "window" ? window : window[name],
    configurable: true,
    writable: true,
  });
}

const simulate = require("miniprogram-simulate");

/** The mini program's own config, so that a test can name its edge. */
export const config = require("../config.js");

/**
 * Puts the component on a page.
 * @param {string} token
 */
export function open(token) {
  const id = simulate.load(`${root}/components/uploader/uploader`, {
    compiler: "official",
    rootPath: root,
  });
  const component = simulate.render(id, { token });
  component.attach(document.createElement("parent-wrapper"));
  return component;
}

/**
 * Waits until `found` gives something.
 * @template T
 * @param {() => T | undefined | false} found
 * @returns {Promise<T>}
 */
export async function until(found) {
  for (let tries = 0; tries < 3000; tries++) {
    const value = found();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it did not come about within 30 s");
}
