// @tus/server with @tus/file-store as npm serves them, for tests/examples/bench_native:
//   node server.mjs <port> <folder> [sync]
// Neither syncs a file. With `sync` what a request brought, and the name of its file, are synced before the
// answer, as the edge does.

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

const [port, directory, sync] = process.argv.slice(2);

const synced = async (path) => {
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
};

class SyncedStore extends FileStore {
  async write(readable, id, offset) {
    const end = await super.write(readable, id, offset);
    await synced(join(directory, id));
    return end;
  }

  async create(upload) {
    const created = await super.create(upload);
    await synced(directory);
    return created;
  }
}

const Store = sync ? SyncedStore : FileStore;
const server = new Server({ path: '/files', datastore: new Store({ directory }) });
server.listen({ host: '127.0.0.1', port: Number(port) });
