// Uppy with its tus plugin, as npm serves them, in a page. Driven by
// tests/tests/e2e/conformance_tus.rs through `window.chatlift`.

import Uppy from '@uppy/core';
import Tus from '@uppy/tus';

// The bytes of a file follow from its size, so that every run sends the same.
function content(size) {
  const bytes = new Uint8Array(size);
  let state = 0x9e3779b9;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const hex = (buffer) =>
  [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');

const chatlift = { state: 'idle', sent: 0, error: '', sha256: '' };
window.chatlift = chatlift;

chatlift.start = async (endpoint, size, options) => {
  const bytes = content(size);
  chatlift.sha256 = hex(await crypto.subtle.digest('SHA-256', bytes));
  const uppy = new Uppy();
  uppy.use(Tus, { endpoint, retryDelays: Array(40).fill(500), ...options });
  uppy.on('upload-progress', (_, progress) => {
    chatlift.sent = progress.bytesUploaded;
  });
  uppy.on('upload-error', (_, error) => {
    chatlift.error = String(error);
  });
  uppy.addFile({ name: 'from uppy.bin', type: 'application/octet-stream', data: new Blob([bytes]) });
  chatlift.uppy = uppy;
  chatlift.state = 'sending';
  const result = await uppy.upload();
  chatlift.state = result.successful.length === 1 ? 'done' : 'failed';
};
chatlift.pause = () => chatlift.uppy.pauseAll();
chatlift.resume = () => chatlift.uppy.resumeAll();
