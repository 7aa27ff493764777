// A backend's whole way with the running edge: a link, a file that comes by it, its webhook, its
// content, a receipt. CHATLIFT_EDGE, CHATLIFT_API_KEY, CHATLIFT_WEBHOOK_SECRET and CHATLIFT_PORT
// (where the edge sends the app's webhooks) are set by the test that runs this.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";

import { Webhook } from "standardwebhooks";

import { ChatliftError, createChatlift, unwrap } from "../dist/index.js";

const env = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const edge = env("CHATLIFT_EDGE");
const chatlift = createChatlift({ edge, apiKey: env("CHATLIFT_API_KEY") });

/** The next webhook, verified by the official library. */
function heard() {
  const webhook = new Webhook(env("CHATLIFT_WEBHOOK_SECRET"));
  return new Promise((resolve, reject) => {
    const server = createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      response.writeHead(204).end();
      server.close();
      const body = Buffer.concat(chunks).toString();
      try {
        assert.throws(() => webhook.verify(`${body} `, request.headers));
        resolve(webhook.verify(body, request.headers));
      } catch (error) {
        reject(error);
      }
    });
    server.listen(Number(env("CHATLIFT_PORT")), "127.0.0.1");
  });
}

test("a link, a file, its webhook, its content, a receipt", async () => {
  const event = heard();
  const link = unwrap(
    await chatlift.POST("/v1/links", { body: { scene: "one-file", subject: "case-7" } }),
  );
  assert.match(link.share_text.en ?? "", /https?:\/\//);
  const token = link.url.split("/").pop() ?? "";
  const bytes = Buffer.from("%PDF-1.7\n%%EOF\n");
  const stored = unwrap(
    await chatlift.POST("/u/{token}/files", {
      params: { path: { token }, header: { "Content-Disposition": "attachment; filename=a.pdf" } },
      body: bytes,
      bodySerializer: (body) => body,
    }),
  );
  const told = await event;
  assert.equal(told.type, "file.stored");
  assert.equal(told.data.file.id, stored.id);
  assert.equal(told.data.link.subject, "case-7");

  const path = { file_id: stored.id };
  const file = unwrap(await chatlift.GET("/v1/files/{file_id}", { params: { path } }));
  assert.equal(file.sha256, createHash("sha256").update(bytes).digest("hex"));
  const content = unwrap(
    await chatlift.GET("/v1/files/{file_id}/content", {
      params: { path, header: { Range: "bytes=1-3" } },
      parseAs: "arrayBuffer",
    }),
  );
  assert.equal(Buffer.from(content).toString(), "PDF");
  const receipt = unwrap(
    await chatlift.POST("/v1/files/{file_id}/receipt", {
      params: { path },
      body: { status: "delivered" },
    }),
  );
  assert.equal(receipt.receipt?.status, "delivered");
});

test("a refusal is an error with the problem in it", async () => {
  const answer = await chatlift.POST("/v1/links", { body: { scene: "no-such-scene" } });
  assert.throws(() => unwrap(answer), (error) => {
    assert.ok(error instanceof ChatliftError);
    assert.equal(error.problem.code, "scene-unknown");
    assert.equal(error.problem.field, "scene");
    return true;
  });
});
