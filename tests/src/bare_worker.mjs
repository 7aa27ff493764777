// The least that a worker can do with a file: it streams a request into the bucket that the edge keeps its files
// in. The edge's objects stay, since the configuration names them.

export { DirectoryObject, LinkObject } from "./built.js";

export default {
  async fetch(request, env) {
    if (request.method !== "POST") return new Response("bare");
    await env.FILES.put(crypto.randomUUID(), request.body);
    return new Response();
  },
};
