// Sends one request over TLS by HTTP/1.1 or HTTP/2. Called by tests/tests/native/tls.rs:
//
//     node http.mjs <1.1|2> <certificate> <origin> <method> <path> <headers as JSON> [<file>]
//
// Prints a line with the status and the version that was agreed on, and then what was answered.

import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { request } from "node:https";

const [version, certificate, origin, method, path, headers, file] = process.argv.slice(2);
const ca = readFileSync(certificate);
const body = file && readFileSync(file);
const fields = JSON.parse(headers);
if (body) fields["content-length"] = body.length;

async function told(status, agreed, stream) {
  let text = "";
  for await (const piece of stream.setEncoding("utf8")) text += piece;
  console.log(`${status} ${agreed}\n${text}`);
}

if (version === "2") {
  const session = connect(origin, { ca });
  const stream = session.request({ ":method": method, ":path": path, ...fields });
  stream.on("response", async (answer) => {
    await told(answer[":status"], session.alpnProtocol, stream);
    session.close();
  });
  // A request without a body has ended already.
  if (body) stream.end(body);
} else {
  const sent = request(new URL(path, origin), { method, ca, headers: fields, ALPNProtocols: ["http/1.1"] });
  sent.on("response", (answer) => told(answer.statusCode, answer.socket.alpnProtocol, answer));
  sent.end(body);
}
