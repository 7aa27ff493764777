// Shows what a link asks for, picks files from the chats, and uploads them one after the other once the
// person has confirmed them.

const config = require("../../config");
const { credentials, dataAddress, doneAddress, isToken, passwordAddress, refusal, size, stored, uploadAddress } = require("../../lib/edge");
const { BUDGET_MS, REQUEST_MS, STALL_MS, passes, wait } = require("../../lib/retry");
const { fill, language, texts } = require("../../lib/texts");

/** Most files that `wx.chooseMessageFile` gives at once. */
const COUNT_MAX = 100;

/** How often an upload is looked at for a stall, in milliseconds. */
const LOOK_MS = 5000;

/**
 * @typedef {object} Row
 * @property {number} id
 * @property {string} name
 * @property {string} path
 * @property {number} size
 * @property {"ready" | "waiting" | "sending" | "retrying" | "cancelling" | "stored" | "failed"} state
 * @property {number} percent
 * @property {string} note
 * @property {boolean} fits whether the link takes a file of this size
 * @property {number} since when its first try failed, in milliseconds; 0 before
 * @property {number} tries that failed
 * @property {string} file its id, once it is stored
 * @property {0 | 90 | 180 | 270} turned by how many degrees clockwise its pages are turned
 * @property {{ up: string, down: string, turn: string }} labels what its buttons do, in words
 */

/** Tells rows apart, also of the same file picked twice. */
let rows = 0;

/**
 * What is under way for a row: a request that can be aborted, and timers.
 * @type {Map<number, { task?: WechatMiniprogram.UploadTask, timer?: ReturnType<typeof setTimeout> }>}
 */
const underWay = new Map();

/**
 * Nothing is under way for a row any more.
 * @param {number} id
 */
function done(id) {
  const work = underWay.get(id);
  underWay.delete(id);
  if (work?.timer) clearTimeout(work.timer);
  return work;
}

/** @param {number} id */
const stop = (id) => done(id)?.task?.abort();

Component({
  properties: {
    token: { type: String, value: "" },
  },

  data: {
    /** `loading`, `password`, `open`, `closed` (the link takes no files) or `lost` (no answer). */
    state: "loading",
    t: texts("en"),
    asks: "",
    title: "",
    hint: "",
    rules: "",
    message: "",
    confirm: "",
    left: 0,
    room: 0,
    largest: 0,
    app: "",
    lang: "en",
    /** The name of the field for a note to the app; empty where the scene asks for none. */
    noteLabel: "",
    note: "",
    password: "",
    /** Whether the app makes one document of all files: then they have an order, and pages can be turned. */
    joins: false,
    /** Whether the edge is being told that all is sent. */
    finishing: false,
    /** What the link's password was exchanged for. */
    pass: "",
    /** @type {string[]} ids of the link's files */
    known: [],
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

  lifetimes: {
    detached() {
      for (const row of this.data.rows) stop(row.id);
      this.keepAwake(false);
    },
  },

  methods: {
    /** Asks the edge what the link is for. */
    load() {
      const system = wx.getAppBaseInfo ? wx.getAppBaseInfo().language : "en";
      const lang = language(system);
      const t = texts(lang);
      this.setData({ t, lang });
      if (!isToken(this.data.token)) {
        this.setData({ state: "closed", message: t.broken });
        return;
      }
      this.setData({ state: "loading", message: "" });
      this.ask((page) => {
        if (page?.code === "password-required") this.setData({ state: "password", pass: "", message: t.password });
        else if (page?.messages) this.show(page);
        else this.setData({ state: "lost", message: t.unreachable });
      });
    },

    /**
     * Asks for the link's data.
     * @param {(page: import("../../lib/edge").PageData | undefined) => void} then given nothing where no edge answered
     */
    ask(then) {
      const { token, lang, pass } = this.data;
      wx.request({
        url: dataAddress(config.edge, token, lang),
        header: credentials(pass),
        success: ({ data, statusCode }) => {
          const answered = statusCode === 200 || statusCode === 401;
          then(answered && data && typeof data === "object" ? /** @type {any} */ (data) : undefined);
        },
        fail: () => then(undefined),
      });
    },

    /** @param {WechatMiniprogram.Input} event */
    type(event) {
      this.setData({ password: event.detail.value });
    },

    /** @param {WechatMiniprogram.Input} event */
    write(event) {
      this.setData({ note: event.detail.value });
    },

    /** Enters the link's password. */
    enter() {
      const { token, password, t } = this.data;
      if (!password) return;
      wx.request({
        url: passwordAddress(config.edge, token),
        method: "POST",
        data: { password },
        success: ({ data }) => {
          const { pass, code } = /** @type {{ pass?: string, code?: string }} */ (Object(data));
          if (pass) {
            this.setData({ pass, password: "" });
            this.load();
          } else {
            const said = { "password-wrong": t.wrong, "password-locked": t.locked }[code || ""];
            this.setData({ message: said || t.unreachable });
          }
        },
        fail: () => this.setData({ message: t.unreachable }),
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
        noteLabel: link.note ? fill(messages?.["note.label"] || "", { app: link.app_name }) : "",
        joins: Boolean(link.join),
        known: (link.files || []).map((file) => file.id),
      });
      this.set([]);
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
      const { t, room } = this.data;
      if (room < 1) return;
      this.setData({ message: "" });
      if (!wx.chooseMessageFile) {
        this.setData({ message: t.old });
        return;
      }
      wx.chooseMessageFile({
        count: Math.min(room, COUNT_MAX),
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
      const { t, largest, messages } = this.data;
      const added = files.map((file) => {
        const fits = file.size <= largest;
        /** @param {string} key */
        const label = (key) => fill(messages[`order.${key}`] || "", { name: file.name });
        const values = { name: file.name, size: size(file.size), limit: size(largest) };
        return /** @type {Row} */ ({
          id: ++rows,
          name: file.name,
          path: file.path,
          size: file.size,
          state: fits ? "ready" : "failed",
          percent: 0,
          note: fits ? t.ready : fill(t.large, values),
          fits,
          since: 0,
          tries: 0,
          file: "",
          turned: 0,
          labels: { up: label("up"), down: label("down"), turn: label("turn") },
        });
      });
      this.set(this.data.rows.concat(added));
    },

    /** Moves a file before its neighbour, or behind it. */
    shift(/** @type {WechatMiniprogram.BaseEvent} */ event) {
      const { id, by } = event.currentTarget.dataset;
      const rows = this.data.rows.slice();
      const from = rows.findIndex((row) => row.id === Number(id));
      const to = from + Number(by);
      if (from < 0 || !rows[to]) return;
      [rows[from], rows[to]] = [rows[to], rows[from]];
      this.set(rows);
    },

    /** Turns the pages of a file by a quarter, clockwise. */
    turn(/** @type {WechatMiniprogram.BaseEvent} */ event) {
      const row = this.row(Number(event.currentTarget.dataset.id));
      if (!row) return;
      const turned = /** @type {Row["turned"]} */ ((row.turned + 90) % 360);
      this.change(row.id, { turned, note: `${this.data.t.ready} · ${turned}°` });
    },

    /** Sends what was picked. */
    confirm() {
      const { t } = this.data;
      this.setData({ message: "" });
      this.set(this.data.rows.map((row) => (row.state === "ready" ? { ...row, state: "waiting", note: t.waiting } : row)));
      this.next();
    },

    /** Takes a file off the list, or gives it up. */
    remove(/** @type {WechatMiniprogram.BaseEvent} */ event) {
      const row = this.row(Number(event.currentTarget.dataset.id));
      if (!row) return;
      if (row.state !== "sending" && row.state !== "retrying") {
        if (row.state !== "cancelling" && row.state !== "stored") {
          this.drop(row.id);
          this.next();
        }
        return;
      }
      this.change(row.id, { state: "cancelling", note: this.data.t.cancelling, since: Date.now(), tries: 0 });
      stop(row.id);
      this.settle(row.id);
    },

    /**
     * Looks whether a file that was given up had arrived: nothing is said to be gone before the edge has
     * said that it is not there.
     * @param {number} id
     */
    settle(id) {
      this.ask((page) => {
        const row = this.row(id);
        if (row?.state !== "cancelling") return;
        const files = page?.link?.files;
        if (!files) {
          this.again(row, () => this.settle(id));
          return;
        }
        const arrived = files.find((file) => file.size === row.size && !this.data.known.includes(file.id));
        if (arrived) {
          this.arrived(id, arrived.id);
          this.setData({ message: fill(this.data.t.late, { name: row.name }) });
        } else {
          this.drop(id);
        }
        this.next();
      });
    },

    /**
     * Does something once more after a wait; gives up when the time is over.
     * @param {Row} row
     * @param {() => void} then
     */
    again(row, then) {
      const { t } = this.data;
      const since = row.since || Date.now();
      if (Date.now() - since >= BUDGET_MS) {
        this.change(row.id, { state: "failed", note: t.unreachable });
        this.next();
        return;
      }
      const tries = row.tries + 1;
      this.change(row.id, { since, tries });
      underWay.set(row.id, { timer: setTimeout(then, wait(tries, Math.random())) });
    },

    /** Begins the next file, if none is on its way. */
    next() {
      const { rows, joins } = this.data;
      if (rows.some((row) => /sending|retrying|cancelling/.test(row.state))) return;
      const row = rows.find((row) => row.state === "waiting");
      if (row) this.upload(row.id);
      else if (rows.length > 0 && rows.every((row) => row.state === "stored")) {
        if (joins) this.finish(0, Date.now());
        else this.praise();
      }
    },

    /** Says that all has arrived, where nothing else is said. */
    praise() {
      const { t, app, message } = this.data;
      if (!message) this.setData({ message: fill(t.arrived, { app }) });
    },

    /**
     * Tells the edge that all is sent, and in which order: the app makes one document of it.
     * @param {number} tries that failed
     * @param {number} since when the first one was made, in milliseconds
     */
    finish(tries, since) {
      const { token, pass, rows, finishing, t } = this.data;
      // A timer of a try that failed goes on with its own.
      if (finishing && tries === 0) return;
      this.setData({ finishing: true });
      this.keepAwake(true);
      const over = (/** @type {string} */ message) => {
        this.setData({ finishing: false, message });
        this.keepAwake(false);
      };
      const again = () => {
        if (Date.now() - since >= BUDGET_MS) over(t.unreachable);
        else setTimeout(() => this.finish(tries + 1, since), wait(tries + 1, Math.random()));
      };
      wx.request({
        url: doneAddress(config.edge, token),
        method: "POST",
        header: credentials(pass),
        data: { order: rows.map((row) => row.file).filter(Boolean) },
        success: ({ data, statusCode }) => {
          const { code } = /** @type {{ code?: string }} */ (Object(data));
          if (statusCode === 204) {
            over(this.data.message);
            this.setData({ left: 0 });
            this.praise();
          } else if (code && !passes({ code })) {
            over(this.sentence({ code }));
          } else {
            again();
          }
        },
        fail: again,
      });
    },

    /** @param {number} id */
    upload(id) {
      const { token, t, pass, note, joins } = this.data;
      const row = this.row(id);
      if (!row) return;
      /** @type {Record<string, string | number>} */
      const said = note ? { note } : {};
      // Else the first file would be all of them.
      if (joins) Object.assign(said, { rotate: row.turned, more: 1 });
      this.change(id, { state: "sending", percent: 0, note: fill(t.sending, { percent: 0 }) });
      let moved = Date.now();
      const own = () => underWay.get(id)?.task === task;
      const task = wx.uploadFile({
        url: uploadAddress(config.edge, token, row.name),
        filePath: row.path,
        name: "file",
        // WeChat sends fields before the file, as the edge takes them.
        formData: said,
        header: { Accept: "application/json", ...credentials(pass) },
        timeout: REQUEST_MS,
        success: ({ data }) => own() && this.ended(id, refusal(data), stored(data)),
        fail: () => own() && this.ended(id, { code: "edge-down" }),
      });
      const look = () => {
        if (!own()) return;
        if (Date.now() - moved > STALL_MS) task.abort();
        else underWay.set(id, { task, timer: setTimeout(look, LOOK_MS) });
      };
      underWay.set(id, { task, timer: setTimeout(look, LOOK_MS) });
      task.onProgressUpdate(({ progress }) => {
        moved = Date.now();
        if (own() && this.row(id)?.state === "sending") {
          this.change(id, { percent: progress, note: fill(t.sending, { percent: progress }) });
        }
      });
    },

    /**
     * An upload has come to an end.
     * @param {number} id
     * @param {import("../../lib/edge").Problem} [problem]
     * @param {string} [file]
     */
    ended(id, problem, file) {
      const row = this.row(id);
      done(id);
      if (!row) return;
      if (!problem) {
        this.arrived(id, file);
      } else if (passes(problem)) {
        this.change(id, { state: "retrying", note: this.data.t.retrying });
        // The same again is the same file for the edge, if it had arrived.
        this.again(row, () => this.upload(id));
        return;
      } else {
        this.change(id, { state: "failed", note: this.sentence(problem) });
      }
      this.next();
    },

    /**
     * The edge has a file.
     * @param {number} id
     * @param {string} [file]
     */
    arrived(id, file) {
      const { left, known, t } = this.data;
      // The same file twice takes one place.
      if (file && !known.includes(file)) this.setData({ left: Math.max(0, left - 1), known: known.concat(file) });
      this.change(id, { state: "stored", percent: 100, note: t.stored, file: file || "" });
    },

    /** Tries a file that failed once more. */
    retry(/** @type {WechatMiniprogram.BaseEvent} */ event) {
      const { t } = this.data;
      this.change(Number(event.currentTarget.dataset.id), { state: "waiting", percent: 0, note: t.waiting, since: 0, tries: 0 });
      this.next();
    },

    /** @param {number} id */
    row(id) {
      return this.data.rows.find((row) => row.id === id);
    },

    /** @param {number} id */
    drop(id) {
      stop(id);
      this.set(this.data.rows.filter((row) => row.id !== id));
    },

    /**
     * @param {number} id
     * @param {Partial<Row>} change
     */
    change(id, change) {
      this.set(this.data.rows.map((row) => (row.id === id ? { ...row, ...change } : row)));
    },

    /**
     * Shows rows, and what follows from them.
     * @param {Row[]} rows
     */
    set(rows) {
      const { t, largest, left } = this.data;
      const ready = rows.filter((row) => row.state === "ready").length;
      const live = rows.filter((row) => /waiting|sending|retrying|cancelling/.test(row.state)).length;
      const room = Math.max(0, left - ready - live);
      this.setData({
        rows,
        room,
        rules: fill(t.rules, { size: size(largest), n: room }),
        confirm: ready ? fill(t.confirm, { n: ready }) : "",
      });
      this.keepAwake(live > 0);
    },

    /**
     * Keeps the screen on while files are on their way, where WeChat can.
     * @param {boolean} on
     */
    keepAwake(on) {
      wx.setKeepScreenOn?.({ keepScreenOn: on });
    },
  },
});
