// The built worker (`built.js`) with objects that end in the middle of a call, as they do at a deployment. A
// request says by `test-reset: before 2` that its second call to an object ends before the object has begun,
// and by `after` that it ends once the object has done what it was asked. Its answer says how many calls it
// made until then (`test-calls`).

import { WorkerEntrypoint } from "cloudflare:workers";
import Built, * as built from "./built.js";

export * from "./built.js";

const HEADER = "test-reset";
const OBJECTS = ["LINKS", "DIRECTORY"];

const resettable = (Inner) =>
  class {
    constructor(context, env) {
      this.context = context;
      this.inner = new Inner(context, env);
    }

    alarm() {
      return this.inner.alarm();
    }

    async fetch(request) {
      const moment = request.headers.get(HEADER);
      if (moment === "before") this.end();
      const answer = await this.inner.fetch(request);
      if (moment === "after") this.end();
      return answer;
    }

    end() {
      const why = "Durable Object reset because its code was updated.";
      this.context.abort(why);
      throw new Error(why);
    }
  };

export const LinkObject = resettable(built.LinkObject);
export const DirectoryObject = resettable(built.DirectoryObject);

/** An object like `target`, with another method of this name. */
const withMethod = (target, name, method) =>
  new Proxy(target, {
    get(_, key) {
      if (key === name) return method;
      const value = target[key];
      return typeof value === "function" && key !== "constructor" ? value.bind(target) : value;
    },
  });

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const [moment, nth] = (request.headers.get(HEADER) ?? "").split(" ");
    let calls = 0;
    const counted = (stub) =>
      withMethod(stub, "fetch", (asked) => {
        calls += 1;
        if (calls === Number(nth)) asked.headers.set(HEADER, moment);
        return stub.fetch(asked);
      });
    const env = { ...this.env };
    for (const name of OBJECTS) {
      const objects = env[name];
      env[name] = withMethod(objects, "get", (...of) => counted(objects.get(...of)));
    }
    const answer = await new Built(this.ctx, env).fetch(request);
    const response = new Response(answer.body, answer);
    response.headers.set("test-calls", String(calls));
    return response;
  }
}
