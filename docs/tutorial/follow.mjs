// Follow a channel: node follow.mjs [address]. A line is published; `off` and `on` unplug it; Ctrl+D leaves.
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws"; // in a browser, and from node 22 on, leave it away

const address = process.argv[2] ?? "ws://127.0.0.1:8765/connection/websocket";
const say = (text) => console.log(text.replace(/[^\P{C}]/gu, "?"));

const client = new Centrifuge(address, { websocket: WebSocket });
const news = client.newSubscription("news:today");

news.on("subscribed", (context) => {
  if (!context.wasRecovering) say("-- subscribed");
  else say(context.recovered ? "-- back, nothing is lost" : "-- back, but something is lost");
});
news.on("subscribing", () => say("-- not subscribed"));
news.on("publication", (context) => say(`${String(context.offset).padStart(4)}  ${context.data}`));

news.subscribe();
client.connect();

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "off") client.disconnect();
  else if (line === "on") client.connect();
  else await news.publish(line).catch((error) => say(`-- not sent: ${error.message}`));
}
client.disconnect();
