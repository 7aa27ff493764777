// The edge in real workerd, as wrangler.toml describes it, with nothing from outside. Runs until it is killed,
// and ends when workerd does.
//
//     node edge.mjs <port> <a folder for R2 and Durable Objects> [a file of variables in place of .dev.vars]
//
// Miniflare is what `wrangler dev` runs too, behind a proxy of its own. That answers for the worker when it answers
// before it has read all of a request, so it is left out here.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as read, unstable_readConfig as readConfig } from "wrangler";

const [port, state, variables] = process.argv.slice(2);
const config = readConfig({ config: "wrangler.toml" });
const { workerOptions, main } = read(config, undefined, { envFiles: variables ? [variables] : undefined });

// Miniflare makes its own in it.
fs.mkdirSync(os.tmpdir(), { recursive: true });

const edge = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  // Nothing is fetched about this machine.
  cf: false,
  log: new Log(LogLevel.WARN),
  r2Persist: path.join(state, "v3", "r2"),
  durableObjectsPersist: path.join(state, "v3", "do"),
  handleRuntimeStdio(stdout, stderr) {
    stdout.pipe(process.stdout);
    stderr.pipe(process.stderr);
    stdout.once("close", () => process.exit(1));
  },
  workers: [
    {
      ...workerOptions,
      // Names the folders of its objects.
      name: config.name,
      modules: true,
      rootPath: process.cwd(),
      scriptPath: main,
      modulesRules: [
        { type: "ESModule", include: ["**/*.js"] },
        { type: "CompiledWasm", include: ["**/*.wasm"] },
      ],
    },
  ],
});
await edge.ready;
