// Signs a webhook by the Standard Webhooks library as npm serves it. Called by
// tests/tests/edge/conformance_webhooks.rs, in the folder that has the library:
//
//     node webhook.mjs <secret> <id> <seconds> <body>
//
// Prints the value of the `webhook-signature` header.

import { createRequire } from "node:module";

const { Webhook } = createRequire(`${process.cwd()}/`)("standardwebhooks");
const [secret, id, seconds, body] = process.argv.slice(2);
console.log(new Webhook(secret).sign(id, new Date(Number(seconds) * 1000), body));
