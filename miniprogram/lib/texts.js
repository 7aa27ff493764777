// What the mini program says, in both of its languages. Why the edge says no is said by the edge's
// own texts.

const en = {
  loading: "Opening the request…",
  asks: "{app} asks you for files",
  choose: "Choose files from a chat",
  more: "Choose more files from a chat",
  rules: "up to {size} each · {n} more",
  ready: "Ready",
  waiting: "Waiting",
  sending: "{percent}%",
  retrying: "No answer, trying again…",
  cancelling: "Cancelling…",
  confirm: "Upload ({n})",
  cancel: "Cancel",
  remove: "Remove",
  late: "{name} had arrived before it was cancelled.",
  password: "This link has a password. You got it from whoever sent you the link.",
  enter: "Continue",
  wrong: "The password is wrong. Check it and try again.",
  locked: "Too many wrong passwords. Wait a while, then try again.",
  stored: "Uploaded",
  arrived: "Everything has arrived. {app} takes it from here; you can go back to your chat.",
  cancelled: "Nothing was chosen.",
  denied: "WeChat does not let this mini program see your chats' files. Allow it in its settings, then try again.",
  old: "This version of WeChat cannot do that. Update WeChat, then try again.",
  large: "{name} is {size}; at most {limit} is accepted.",
  unreachable: "The upload service does not answer. Check your connection, then try again.",
  broken: "This link is not complete. Open it again from your chat.",
  again: "Try again",
};

const zh = {
  loading: "正在打开…",
  asks: "{app} 请您上传文件",
  choose: "从聊天中选择文件",
  more: "继续从聊天中选择",
  rules: "单个不超过 {size} · 还可选 {n} 个",
  ready: "待上传",
  waiting: "等待中",
  sending: "{percent}%",
  retrying: "暂无响应，正在重试…",
  cancelling: "正在取消…",
  confirm: "上传（{n}）",
  cancel: "取消",
  remove: "移除",
  late: "取消之前，{name} 已经送达。",
  password: "此链接需要密码。请向发给您链接的人索取密码。",
  enter: "继续",
  wrong: "密码不正确。请核对后再试。",
  locked: "密码输错次数过多。请稍后再试。",
  stored: "已上传",
  arrived: "文件已全部送达，后续由 {app} 处理，您可以返回聊天。",
  cancelled: "没有选择文件。",
  denied: "微信不允许此小程序读取聊天文件。请在设置中允许后重试。",
  old: "当前微信版本不支持此功能，请升级微信后重试。",
  large: "{name} 大小为 {size}，最大允许 {limit}。",
  unreachable: "上传服务暂无响应，请检查网络后重试。",
  broken: "链接不完整，请从聊天中重新打开。",
  again: "重试",
};

/**
 * The language for a system language such as `zh_CN`.
 * @param {string} system
 */
const language = (system) => (/^zh/i.test(system) ? "zh-CN" : "en");

/** @param {string} lang */
const texts = (lang) => (lang === "zh-CN" ? zh : en);

/**
 * A text with its places filled.
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));

module.exports = { language, texts, fill, all: { en, "zh-CN": zh } };
