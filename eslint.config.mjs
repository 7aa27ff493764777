// Rules for the scripts that are shipped: the pickers of the chat apps, and the mini program.
// `cargo xtask test` runs it.

import js from "@eslint/js";

const names = (text) => Object.fromEntries(text.split(" ").map((name) => [name, "readonly"]));

const rules = {
  ...js.configs.recommended.rules,
  eqeqeq: "error",
  "no-var": "error",
  "prefer-const": "error",
};

export default [
  {
    files: ["frontend/chat/*.js"],
    languageOptions: {
      sourceType: "module",
      globals: names(
        "window document navigator location performance fetch atob Blob File DataTransfer Event MutationObserver setTimeout clearTimeout",
      ),
    },
    rules,
  },
  {
    files: ["miniprogram/**/*.js"],
    languageOptions: {
      sourceType: "commonjs",
      globals: names("wx App Page Component setTimeout clearTimeout"),
    },
    rules,
  },
  {
    files: ["miniprogram/test/*.mjs"],
    languageOptions: {
      sourceType: "module",
      globals: names("process console document setTimeout fetch FormData File URL"),
    },
    rules,
  },
];
