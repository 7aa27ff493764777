// Sends a file many times by tus-js-client as npm serves it, for tests/examples/bench_native:
//   node tus_many.mjs <endpoint> <file> <how often> <how many at once> <how often before>
// Prints as JSON how many milliseconds it took, and how many of its processor, without those before, which warm up
// both sides.

import { createReadStream, statSync } from 'node:fs';
import { Upload } from 'tus-js-client';

const [endpoint, path, ...numbers] = process.argv.slice(2);
const [times, atOnce, before] = numbers.map(Number);
const uploadSize = statSync(path).size;

const send = (filename) =>
  new Promise((resolve, reject) => {
    const options = {
      endpoint,
      uploadSize,
      // The edge takes 100 MB in one request.
      chunkSize: 50_000_000,
      metadata: { filename },
      retryDelays: null,
      onSuccess: resolve,
      onError: reject,
    };
    new Upload(createReadStream(path), options).start();
  });

const sendAll = async (name, count) => {
  let next = 0;
  const sender = async () => {
    while (next < count) {
      next += 1;
      await send(`${name}-${next}.bin`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sender));
};

await sendAll('before', before);
const begun = performance.now();
const used = process.cpuUsage();
await sendAll('file', times);
const { user, system } = process.cpuUsage(used);
console.log(JSON.stringify({ ms: performance.now() - begun, cpu: (user + system) / 1000 }));
