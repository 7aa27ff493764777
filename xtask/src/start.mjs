// What the worker's program adds to the start of an isolate: workerd is started with it and without
// it, nine times each and in turn, until a first request is answered. Prints the difference of the
// medians, in milliseconds.
//
//     node start.mjs <program.wasm> <an empty folder>

import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import workerd from "workerd";

const [program, folder] = process.argv.slice(2);
const ROUNDS = 9;

/** @returns {Promise<number>} a port that is free now */
const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Writes a configuration whose worker has the program as a module, or has none. */
function configure(port, withProgram) {
  const use = withProgram ? "import program from './program.wasm';" : "const program = null;";
  const script = `${use} export default { fetch: () => new Response(String(program)) };`;
  const module = withProgram ? `, (name = "program.wasm", wasm = embed "program.wasm")` : "";
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  modules = [(name = "main.js", esModule = ${JSON.stringify(script)})${module}],
);
`;
  fs.writeFileSync(path.join(folder, "config.capnp"), config);
}

/** @returns {Promise<number>} milliseconds from workerd's start to its first answer */
async function start(withProgram) {
  const port = await freePort();
  configure(port, withProgram);
  const begin = process.hrtime.bigint();
  const child = spawn(workerd.default, ["serve", "config.capnp"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`workerd ended with ${child.exitCode}`);
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
      if (answer) {
        const text = await answer.text();
        if ((text === "null") === withProgram) throw new Error(`the wrong worker answered: ${text}`);
        return Number(process.hrtime.bigint() - begin) / 1e6;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

fs.copyFileSync(program, path.join(folder, "program.wasm"));
const times = { true: [], false: [] };
for (let i = 0; i < ROUNDS; i++) {
  for (const withProgram of [true, false]) times[withProgram].push(await start(withProgram));
}
console.log((median(times.true) - median(times.false)).toFixed(1));
