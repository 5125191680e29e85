// One client of the official JavaScript SDK, driven by a test through `call`: the same in node and in a browser.
// Events wait in queues by name, so that a test can wait for what has happened already.
(function () {
  "use strict";

  const SUBSCRIPTION_EVENTS = ["subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error"];
  const CLIENT_EVENTS = ["connecting", "connected", "disconnected", "error", "message"];

  function makePeer(Centrifuge, defaults) {
    const queues = new Map();
    const waiting = new Map();
    const subscriptions = new Map();
    let client = null;

    function tell(name, value) {
      // As JSON: an event may hold the client itself, or an Error.
      const plain = JSON.parse(JSON.stringify(value, (key, part) => (key === "error" ? { ...part } : part)));
      const waiter = (waiting.get(name) || []).shift();
      if (waiter) waiter(plain);
      else queues.set(name, [...(queues.get(name) || []), plain]);
    }

    // With `tokens` the SDK is given one after the other, and each time an event tells how many are left.
    function spend(options, event) {
      const { tokens, ...rest } = options || {};
      if (!tokens) return rest;
      const getToken = async () => {
        const token = tokens.shift();
        tell(event, tokens.length);
        return token;
      };
      return { getToken, ...rest };
    }

    const methods = {
      connect(url, options) {
        const quick = { minReconnectDelay: 50, maxReconnectDelay: 200 };
        client = new Centrifuge(url, { ...defaults, ...quick, ...spend(options, "token") });
        for (const name of CLIENT_EVENTS) client.on(name, (context) => tell(name, context));
        client.connect();
      },
      disconnect: () => client.disconnect(),
      subscribe(channel, options) {
        const subscription = client.newSubscription(channel, spend(options, `${channel} token`));
        for (const name of SUBSCRIPTION_EVENTS) {
          subscription.on(name, (context) => tell(`${channel} ${name}`, context));
        }
        subscriptions.set(channel, subscription);
        subscription.subscribe();
      },
      unsubscribe: (channel) => subscriptions.get(channel).unsubscribe(),
      publish: (channel, data) => subscriptions.get(channel).publish(data),
      history: (channel, options) => subscriptions.get(channel).history(options),
      presence: (channel) => subscriptions.get(channel).presence(),
      presenceStats: (channel) => subscriptions.get(channel).presenceStats(),
      rpc: (method, data) => client.rpc(method, data),
      next(name) {
        const found = (queues.get(name) || []).shift();
        if (found !== undefined) return found;
        return new Promise((resolve) => waiting.set(name, [...(waiting.get(name) || []), resolve]));
      },
    };

    // Returns {result} or, for what the SDK rejects, {error: {code, message}}.
    return async function call(method, ...args) {
      try {
        return { result: (await methods[method](...args)) ?? null };
      } catch (error) {
        return { error: { code: error.code ?? null, message: String(error.message ?? error) } };
      }
    };
  }

  globalThis.makePeer = makePeer;
})();
