// window.Twitch.ext for a panel: the calls of Twitch's helper, answered by the page around the frame.

(() => {
  const callbacks = { authorized: [], context: [], error: [], visibility: [], transaction: [], cancelled: [], viewer: [], configuration: [] };
  const listeners = new Map();
  const waiting = new Map();
  const last = {};
  let serial = 0;

  const ask = (what) => window.parent.postMessage(what, document.referrer ? new URL(document.referrer).origin : "*");
  const on = (name) => (callback) => {
    callbacks[name].push(callback);
    if (name in last) callback(...last[name]);
  };
  const fire = (name, ...values) => {
    last[name] = values;
    for (const callback of callbacks[name]) callback(...values);
  };

  const configuration = { onChanged: (callback) => callbacks.configuration.push(callback), set: () => {} };
  const viewer = {
    opaqueId: null, id: null, role: null, isLinked: false, sessionToken: null, subscriptionStatus: null, helixToken: null,
    onChanged: (callback) => callbacks.viewer.push(callback),
  };

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent) return;
    if (data.twitch === "authorized") {
      Object.assign(viewer, {
        opaqueId: data.auth.userId, id: data.viewer.id, role: data.viewer.role, isLinked: data.viewer.id !== null, sessionToken: data.auth.token,
      });
      fire("authorized", data.auth);
      for (const callback of callbacks.viewer) callback();
    } else if (data.twitch === "context") {
      fire("context", data.context, Object.keys(data.context));
    } else if (data.twitch === "configuration") {
      configuration.broadcaster = { version: "1", content: data.content };
      fire("configuration");
    } else if (data.twitch === "products") {
      waiting.get(data.id)?.(data.products);
      waiting.delete(data.id);
    } else if (data.twitch === "transaction") {
      for (const callback of callbacks.transaction) callback(data.transaction);
    } else if (data.twitch === "cancelled") {
      for (const callback of callbacks.cancelled) callback();
    } else if (data.twitch === "pubsub") {
      for (const callback of listeners.get(data.target) ?? []) callback(data.target, "application/json", data.message);
    }
  });

  window.Twitch = {
    ext: {
      version: "stand-in", environment: "production", viewer,
      onAuthorized: on("authorized"), onContext: on("context"), onError: on("error"), onVisibilityChanged: on("visibility"),
      listen: (target, callback) => listeners.set(target, [...(listeners.get(target) ?? []), callback]),
      unlisten: (target, callback) => listeners.set(target, (listeners.get(target) ?? []).filter((one) => one !== callback)),
      send: () => {},
      actions: { requestIdShare: () => ask({ ask: "share" }), minimize: () => {}, followChannel: () => {}, onFollow: () => {} },
      features: { isBitsEnabled: true, isChatEnabled: true, isSubscriptionStatusAvailable: false, onChanged: () => {} },
      configuration,
      bits: {
        getProducts: () => new Promise((resolve) => {
          serial += 1;
          waiting.set(serial, resolve);
          ask({ ask: "products", id: serial });
        }),
        useBits: (sku) => ask({ ask: "bits", sku }),
        onTransactionComplete: (callback) => callbacks.transaction.push(callback),
        onTransactionCancelled: (callback) => callbacks.cancelled.push(callback),
        setUseLoopback: () => {}, showBitsBalance: () => {},
      },
    },
  };
  window.addEventListener("load", () => ask({ ask: "ready" }));
})();
