// Takes away what the page's program does not use, between `wasm-bindgen` and `esbuild`:
//
//   node shrink.mjs <wasm-opt> <wasm-metadce> <program.wasm> <glue.js> <out.wasm> <out.js>
//
// - exports that the page never calls, and all that only they need: `server_fn`, which Leptos
//   always brings, exports adapters of JavaScript streams;
// - the functions of the glue that are then imported by nobody;
// - names: wasm-bindgen's end in 16 random characters each, which no compression gets rid of;
// - the glue's own ways of fetching the program: boot.js has one, and needs what it imports and how
//   it is started.
//
// The result is checked: every import has its function in the glue.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const [wasmOpt, wasmMetadce, program, glue, outProgram, outGlue] = process.argv.slice(2);
const MVP = ["--mvp-features", "--enable-mutable-globals"];
// A second round finds what the first uncovered; control flow that was put together anew compresses better.
// Twice is the least: a third time weighs more again.
const ANEW = ["--flatten", "--rereloop", "-Oz"];
// The first kibibyte of memory is the end of the stack, which nothing points into; so an offset that is
// added to an address may become part of the instruction that uses it.
const AGAIN = ["--low-memory-unused", ...ANEW, "-Oz", ...ANEW, "--reorder-locals"];
const UNUSED = /intounderlying|WASM_SPLIT_MARKER|__abort_handler|__instance_terminated|^main$/;

let js = readFileSync(glue, "utf8");

// The classes and finalisers of the streams' adapters.
js = js.replace(/^export class IntoUnderlying\w+ \{\n[\s\S]*?\n\}\n/gm, "");
js = js.replace(/^if \(Symbol\.dispose\) IntoUnderlying.*\n/gm, "");
js = js.replace(/^const IntoUnderlying\w+Finalization = [\s\S]*?;\n(?=\w|\n|\/)/gm, "");

const loader = js.indexOf("async function __wbg_load(");
if (loader < 0) throw new Error("the glue loads its program in another way than it did");
js = `${js.slice(0, loader)}export { __wbg_get_imports as imports, __wbg_finalize_init as start };\n`;
js = js.replace(/^ *wasm(Instance|Module) = .*\n/gm, "").replace("let wasmModule, wasmInstance, wasm;", "let wasm;");

const exported = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(program)));
const graph = [{ name: "page", root: true, reaches: [] }];
for (const { name } of exported) {
  if (UNUSED.test(name)) continue;
  graph.push({ name: `export ${name}`, export: name });
  graph[0].reaches.push(`export ${name}`);
}
writeFileSync(`${outProgram}.graph.json`, JSON.stringify(graph));
execFileSync(wasmMetadce, [program, ...MVP, `--graph-file=${outProgram}.graph.json`, "-o", outProgram], { stdio: "ignore" });

const renamed = JSON.parse(
  execFileSync(wasmOpt, [outProgram, ...MVP, "--minify-imports-and-exports-and-modules", ...AGAIN, "-o", outProgram], { encoding: "utf8" }),
);
const kept = new Map(renamed.imports.map(([, name, short]) => [name, short]));
const module = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(outProgram)))[0].module;

// One entry of the import object, as wasm-bindgen writes it: indented by eight, ended by `},`.
js = js.replace(/^ {8}(__wbg_\w+|__wbindgen_\w+): ([\s\S]*?)(?=^ {8}(?:__wbg_|__wbindgen_)\w+: |^ {4}\};)/gm, (_, name, code) =>
  kept.has(name) ? `        ${JSON.stringify(kept.get(name))}: ${code}` : "",
);
js = js.replace('"./page_bg.js": import0', `${JSON.stringify(module)}: import0`);
for (const [name, short] of renamed.exports) {
  js = js.replaceAll(new RegExp(`\\b(wasm|exports)\\.${name}\\b`, "g"), `$1[${JSON.stringify(short)}]`);
}
for (const [name, short] of kept) {
  if (!js.includes(`        ${JSON.stringify(short)}: `)) throw new Error(`the glue lacks ${name}`);
}
writeFileSync(outGlue, js);
