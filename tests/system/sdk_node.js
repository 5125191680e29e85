// The SDK in node: commands come as lines of JSON, [id, method, ...arguments], and answers leave as [id, answer].
// Argument: the directory whose node_modules has the packages `centrifuge` and `ws`.
"use strict";

const { createRequire } = require("node:module");
const readline = require("node:readline");
const path = require("node:path");

require("./sdk_peer.js");
const fetched = createRequire(path.join(process.argv[2], "package.json"));
const { Centrifuge } = fetched("centrifuge");
const call = globalThis.makePeer(Centrifuge, { websocket: fetched("ws") });

readline
  .createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const [id, ...command] = JSON.parse(line);
    process.stdout.write(`${JSON.stringify([id, await call(...command)])}\n`);
  })
  .on("close", () => process.exit(0));
