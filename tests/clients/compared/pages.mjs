// Uploaders of others, each on the smallest page that has it, with servers that take what they send; for
// tests/examples/bench_peers:
//   node pages.mjs <port> <folder>
//
// /bare      a file input and an XMLHttpRequest for each file       -> POST /upload
// /tus       a file input and tus-js-client                         -> @tus/server at /files
// /uppy      Uppy's Dashboard with @uppy/tus, as its guide has it   -> @tus/server at /files
// /filepond  FilePond as its guide has it, sent at one's word       -> POST /upload
//
// A page is ready for a pick when its input is there, `go()` sends what was picked, and `ended` is set then: `yes`,
// or what went wrong. `/upload` writes what comes to a file, and of a form its files.

import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';
import busboy from 'busboy';
import { build } from 'esbuild';

const [port, directory] = process.argv.slice(2);
await mkdir(directory, { recursive: true });
const find = createRequire(import.meta.url).resolve;

/** Waits before another try, in milliseconds: longer than the clients' own, which end after nine seconds. */
const DELAYS = '[0, 1000, 3000, 5000, 10000, 20000]';

/** Files are sent three at a time, as the page does. */
const AT_ONCE = `
  const inTurn = async (files, send) => {
    const queue = [...files];
    await Promise.all([1, 2, 3].map(async () => { while (queue.length) await send(queue.shift()); }));
  };
  const end = (work) => work.then(() => { window.ended = 'yes'; }, (e) => { window.ended = String(e); });
  const picked = () => document.querySelector('#pick').files;`;

const PAGES = {
  bare: {
    body: '<input type=file id=pick multiple>',
    script: `${AT_ONCE}
      const send = (file) => new Promise((resolve, reject) => {
        const xhr = new XMLHttpRequest();
        xhr.open('POST', '/upload');
        xhr.onload = () => (xhr.status === 200 ? resolve() : reject(xhr.status));
        xhr.onerror = () => reject('connection');
        xhr.send(file);
      });
      window.go = () => end(inTurn(picked(), send));`,
  },
  tus: {
    body: '<input type=file id=pick multiple>',
    script: `${AT_ONCE}
      import { Upload } from 'tus-js-client';
      const send = (file) => new Promise((onSuccess, onError) => {
        const options = { endpoint: '/files', retryDelays: ${DELAYS}, metadata: { filename: file.name }, onSuccess, onError };
        const upload = new Upload(file, options);
        upload.findPreviousUploads().then(([begun]) => {
          if (begun) upload.resumeFromPreviousUpload(begun);
          upload.start();
        }, onError);
      });
      window.go = () => end(inTurn(picked(), send));`,
  },
  uppy: {
    body: '<div id=app></div>',
    script: `
      import Uppy from '@uppy/core';
      import Dashboard from '@uppy/dashboard';
      import Tus from '@uppy/tus';
      const uppy = new Uppy()
        .use(Dashboard, { inline: true, target: '#app' })
        .use(Tus, { endpoint: '/files', retryDelays: ${DELAYS} });
      window.go = () => uppy.upload().then((result) => {
        window.ended = result.failed.length ? String(result.failed[0].error) : 'yes';
      }, (e) => { window.ended = String(e); });`,
    styles: ['@uppy/core/css/style.min.css', '@uppy/dashboard/css/style.min.css'],
  },
  filepond: {
    body: '<input type=file id=pond multiple>',
    script: `
      import * as FilePond from 'filepond';
      const pond = FilePond.create(document.querySelector('#pond'), { server: '/upload', instantUpload: false });
      window.go = () => pond.processFiles().then(() => { window.ended = 'yes'; }, (e) => { window.ended = String(e.error ?? e); });`,
    styles: ['filepond/dist/filepond.min.css'],
  },
};

const files = new Map();
const serve = (path, type, body) => files.set(path, { type, body });
for (const [name, { body, script, styles }] of Object.entries(PAGES)) {
  const bundled = await build({
    stdin: { contents: script, resolveDir: import.meta.dirname },
    bundle: true, minify: true, write: false, format: 'iife',
  });
  serve(`/${name}.js`, 'text/javascript', bundled.outputFiles[0].contents);
  const sheets = (styles ?? []).map((path) => readFileSync(find(path), 'utf8')).join('');
  if (sheets) serve(`/${name}.css`, 'text/css', sheets);
  const link = sheets ? `<link rel=stylesheet href=/${name}.css>` : '';
  // The plain input can be used before its script is there.
  serve(`/${name}`, 'text/html', `<!DOCTYPE html><html lang=en><meta charset=utf-8><title>${name}</title>\
<meta name=viewport content="width=device-width">${link}<h1>Send files</h1>${body}<script src=/${name}.js></script>`);
}

const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) });

let count = 0;
const next = () => createWriteStream(join(directory, `received-${count++}`));

const receive = async (request) => {
  if (!request.headers['content-type']?.startsWith('multipart/')) return pipeline(request, next());
  const written = [];
  const form = busboy({ headers: request.headers });
  form.on('file', (_name, file) => written.push(pipeline(file, next())));
  await pipeline(request, form);
  await Promise.all(written);
};

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://here');
  if (pathname.startsWith('/files')) return tus.handle(request, response);
  const file = files.get(pathname);
  if (file) return response.writeHead(200, { 'content-type': file.type }).end(file.body);
  if (pathname !== '/upload' || request.method !== 'POST') return response.writeHead(404).end();
  const status = await receive(request).then(() => 200, () => 400);
  response.writeHead(status, { 'content-type': 'text/plain' }).end(String(count));
}).listen(Number(port), '127.0.0.1');
