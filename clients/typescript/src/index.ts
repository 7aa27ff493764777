/**
 * Chatlift's edge API, with types for every path, body and problem. The types are generated from
 * the edge's OpenAPI document (`cargo xtask clients`); the calls are openapi-fetch's.
 */
import createClient, { type Client as FetchClient } from "openapi-fetch";
import type { Problem, paths } from "./schema.js";

export type * from "./schema.js";

/** A client of one edge: `client.POST("/v1/links", { body: { scene: "claim-documents" } })`. */
export type Client = FetchClient<paths>;

/** Where the edge is, and who calls. */
export interface Options {
  /** The edge's address, such as `https://files.example.com`. */
  edge: string;
  /** The app's API key, `clk_...`. It belongs to a backend and never into a page. */
  apiKey: string;
  /** Another `fetch` than the global one. */
  fetch?: (request: Request) => Promise<Response>;
}

/** Makes a client. Redirects are errors: the edge has none for a backend. */
export function createChatlift({ edge, apiKey, fetch }: Options): Client {
  const client = createClient<paths>({
    baseUrl: edge.replace(/\/+$/, ""),
    redirect: "error",
    ...(fetch && { fetch }),
  });
  client.use({
    onRequest({ request, schemaPath }) {
      // What lies under a link's token needs no key, and gets none.
      if (schemaPath.startsWith("/v1/")) {
        request.headers.set("Authorization", `Bearer ${apiKey}`);
      }
      return request;
    },
  });
  return client;
}

/** The edge said no. `problem.code` is stable. */
export class ChatliftError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}${problem.detail ? `: ${problem.detail}` : ""} (${problem.code})`);
    this.name = "ChatliftError";
    this.problem = problem;
  }
}

/** The data of an answer, or a {@link ChatliftError}. */
export function unwrap<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.response.ok) {
    return answer.data as T;
  }
  const problem = answer.error as Problem | undefined;
  if (problem && typeof problem === "object" && "code" in problem) {
    throw new ChatliftError(problem);
  }
  throw new Error(`the edge answered ${answer.response.status}`);
}
