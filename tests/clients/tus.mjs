// Sends a file by tus-js-client as npm serves it. Called by tests/tests/edge/conformance_tus.rs:
//   node tus.mjs <endpoint> <file> <what to do>
// Prints what happened, one JSON object a line; the last has `done` or `failed`.

import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import { PassThrough } from 'node:stream';
import { DefaultHttpStack, Upload } from 'tus-js-client';

const [endpoint, path, what] = process.argv.slice(2);
const size = statSync(path).size;
const say = (fact) => process.stdout.write(`${JSON.stringify(fact)}\n`);

const options = {
  endpoint,
  uploadSize: size,
  metadata: { filename: basename(path) },
  // Until the edge is there again.
  retryDelays: Array(40).fill(500),
  onProgress: (sent) => say({ sent }),
};

// Runs an upload to its end.
const run = (more) =>
  new Promise((resolve, reject) => {
    const upload = new Upload(more?.source ?? createReadStream(path), {
      ...options,
      ...more,
      onSuccess: () => resolve(upload),
      onError: reject,
    });
    more?.started?.(upload);
    upload.start();
  });

// Begins an upload and gives it up in the middle, as a closed program would; answers its address.
const paused = (chunkSize) =>
  new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path), {
      ...options,
      chunkSize,
      onError: reject,
      onProgress: (sent) => {
        say({ sent });
        if (sent > size / 2 && upload.url) {
          upload.abort().then(() => resolve(upload.url));
        }
      },
    });
    upload.start();
  });

const tasks = {
  // All in one PATCH, the client's default.
  whole: () => run(),
  chunks: () => run({ chunkSize: 1_000_000 }),
  // With the first bytes in the creation.
  'with-creation': () => run({ uploadDataDuringCreation: true, chunkSize: 3_000_000 }),
  // A stream that is no file, so that only its end tells its length.
  deferred: () => {
    const source = createReadStream(path).pipe(new PassThrough());
    return run({ source, uploadLengthDeferred: true, uploadSize: null, chunkSize: 3_000_000 });
  },
  parallel: () => run({ parallelUploads: 4, uploadSize: null, chunkSize: 2_000_000 }),
  paused: async () => {
    const uploadUrl = await paused(1_000_000);
    return run({ uploadUrl, chunkSize: 1_000_000 });
  },
  // Aborted within its only PATCH.
  cut: async () => {
    const uploadUrl = await paused(Infinity);
    return run({ uploadUrl });
  },
  'wrong-checksum': async () => {
    let answered;
    const wrong = run({
      retryDelays: null,
      onBeforeRequest: (request) => {
        if (request.getMethod() === 'PATCH') {
          request.setHeader('Upload-Checksum', 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=');
        }
      },
      started: (upload) => (answered = upload),
    });
    const error = await wrong.then(() => null, (e) => e);
    say({ status: error?.originalResponse?.getStatus() });
    return run({ uploadUrl: answered.url });
  },
  terminated: async () => {
    const uploadUrl = await paused(1_000_000);
    await Upload.terminate(uploadUrl);
    const gone = await new DefaultHttpStack({}).createRequest('HEAD', uploadUrl);
    gone.setHeader('Tus-Resumable', '1.0.0');
    say({ status: (await gone.send(null)).getStatus() });
    return { url: uploadUrl };
  },
};

tasks[what]().then(
  (upload) => say({ done: upload.url }),
  (error) => {
    say({ failed: String(error) });
    process.exitCode = 1;
  },
);
