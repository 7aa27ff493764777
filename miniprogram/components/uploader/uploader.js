// Shows what a link asks for, picks files from the chats, and uploads them one after the other.

const config = require("../../config");
const { dataAddress, isToken, refusal, size, uploadAddress } = require("../../lib/edge");
const { fill, language, texts } = require("../../lib/texts");

/** Most files that `wx.chooseMessageFile` gives at once. */
const COUNT_MAX = 100;

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string} path
 * @property {number} size
 * @property {"waiting" | "sending" | "stored" | "failed"} state
 * @property {number} percent
 * @property {string} note
 */

Component({
  properties: {
    token: { type: String, value: "" },
  },

  data: {
    /** `loading`, `open`, `closed` (the link takes no files) or `lost` (no answer). */
    state: "loading",
    t: texts("en"),
    asks: "",
    title: "",
    hint: "",
    rules: "",
    message: "",
    left: 0,
    largest: 0,
    app: "",
    busy: false,
    /** @type {Row[]} */
    rows: [],
    /** @type {Record<string, string>} */
    messages: {},
  },

  observers: {
    token(/** @type {string} */ token) {
      // A property is set once more than it is given.
      if (token) this.load();
    },
  },

  methods: {
    /** Asks the edge what the link is for. */
    load() {
      const system = wx.getAppBaseInfo ? wx.getAppBaseInfo().language : "en";
      const lang = language(system);
      const t = texts(lang);
      this.setData({ t });
      const { token } = this.data;
      if (!isToken(token)) {
        this.setData({ state: "closed", message: t.broken });
        return;
      }
      this.setData({ state: "loading", message: "" });
      wx.request({
        url: dataAddress(config.edge, token, lang),
        success: ({ data, statusCode }) => {
          const page = /** @type {import("../../lib/edge").PageData} */ (data);
          if (statusCode !== 200 || !page.messages) {
            this.setData({ state: "lost", message: t.unreachable });
          } else {
            this.show(page);
          }
        },
        fail: () => this.setData({ state: "lost", message: t.unreachable }),
      });
    },

    /** @param {import("../../lib/edge").PageData} page */
    show({ link, problem, messages }) {
      this.setData({ messages });
      if (!link || problem) {
        const message = this.sentence(problem || { code: "internal" });
        this.setData({ state: "closed", title: link ? link.title : "", message });
        return;
      }
      this.setData({
        state: "open",
        app: link.app_name,
        asks: fill(this.data.t.asks, { app: link.app_name }),
        title: link.title,
        hint: link.hint,
        left: link.files_left,
        largest: link.max_file_size,
      });
      this.showRules();
    },

    showRules() {
      const { t, largest, left } = this.data;
      this.setData({ rules: fill(t.rules, { size: size(largest), n: left }) });
    },

    /**
     * Why the edge says no, in its own words.
     * @param {{ code: string }} problem
     */
    sentence(problem) {
      const { messages, t } = this.data;
      return messages[`problem.${problem.code}`] || t.unreachable;
    },

    /** Picks files from the chats. */
    choose() {
      const { t, left, busy } = this.data;
      if (busy || left < 1) return;
      this.setData({ message: "" });
      if (!wx.chooseMessageFile) {
        this.setData({ message: t.old });
        return;
      }
      wx.chooseMessageFile({
        count: Math.min(left, COUNT_MAX),
        type: "all",
        success: ({ tempFiles }) => this.take(tempFiles),
        fail: ({ errMsg }) => {
          const cancelled = /cancel/.test(errMsg);
          this.setData({ message: cancelled ? t.cancelled : t.denied });
        },
      });
    },

    /** @param {{ name: string, path: string, size: number }[]} files */
    take(files) {
      const { t, largest, rows } = this.data;
      const added = files.map((file) => {
        const fits = file.size <= largest;
        const values = { name: file.name, size: size(file.size), limit: size(largest) };
        return /** @type {Row} */ ({
          name: file.name,
          path: file.path,
          size: file.size,
          state: fits ? "waiting" : "failed",
          percent: 0,
          note: fits ? t.waiting : fill(t.large, values),
        });
      });
      this.setData({ rows: rows.concat(added) });
      this.next();
    },

    /** Begins the next file, if none is on its way. */
    next() {
      const { rows, busy, t, app, left } = this.data;
      if (busy) return;
      const at = rows.findIndex((row) => row.state === "waiting");
      if (at >= 0) {
        this.upload(at);
        return;
      }
      const done = rows.length > 0 && rows.every((row) => row.state === "stored");
      if (done) this.setData({ message: fill(t.arrived, { app }) });
      if (left < 1 && !done) this.setData({ message: this.sentence({ code: "link-full" }) });
    },

    /** @param {number} at */
    upload(at) {
      const { token, t, rows } = this.data;
      const row = rows[at];
      this.setData({ busy: true });
      this.change(at, { state: "sending", note: fill(t.sending, { percent: 0 }) });
      const task = wx.uploadFile({
        url: uploadAddress(config.edge, token, row.name),
        filePath: row.path,
        name: "file",
        header: { Accept: "application/json" },
        success: ({ data }) => {
          const problem = refusal(data);
          if (problem) {
            this.change(at, { state: "failed", note: this.sentence(problem) });
          } else {
            this.change(at, { state: "stored", percent: 100, note: t.stored });
            this.setData({ left: Math.max(0, this.data.left - 1) });
            this.showRules();
          }
        },
        fail: () => this.change(at, { state: "failed", note: t.unreachable }),
        complete: () => {
          this.setData({ busy: false });
          this.next();
        },
      });
      task.onProgressUpdate(({ progress }) => {
        if (this.data.rows[at].state === "sending") {
          this.change(at, { percent: progress, note: fill(t.sending, { percent: progress }) });
        }
      });
    },

    /** Tries a file that failed once more. */
    retry(/** @type {WechatMiniprogram.BaseEvent} */ event) {
      const { t } = this.data;
      this.change(Number(event.currentTarget.dataset.at), { state: "waiting", percent: 0, note: t.waiting });
      this.next();
    },

    /**
     * @param {number} at
     * @param {Partial<Row>} change
     */
    change(at, change) {
      const rows = this.data.rows.map((row, n) => (n === at ? { ...row, ...change } : row));
      this.setData({ rows });
    },
  },
});
