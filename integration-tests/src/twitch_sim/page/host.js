// The page around the panel: does for the helper in the frame what Twitch's page does. The query can say who looks:
// `?user=8&role=moderator&shared=1&light=1`.

const script = document.querySelector('script[src="/host.js"]');
const { panel, page, server, channel, streamer } = script.dataset;
const $ = (id) => document.getElementById(id);
const frame = $("panel");
let pokes = 0;
let asked = null;

function log(...words) {
  const line = words.map((word) => (typeof word === "string" ? word : JSON.stringify(word))).join(" ");
  $("log").textContent = `${new Date().toLocaleTimeString()} ${line}\n${$("log").textContent}`.slice(0, 20000);
}

async function json(path, body) {
  const request = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, request);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function tell(type, data) {
  frame.contentWindow.postMessage({ twitch: type, ...data }, panel);
}

async function authorize() {
  const query = new URLSearchParams({ user: $("user").value, role: $("role").value, broadcaster: streamer });
  if ($("shared").checked) query.set("shared", "1");
  const session = await json(`/sim/session?${query}`);
  tell("authorized", {
    auth: { channelId: session.channel, token: session.token, userId: session.opaque, helixToken: "" },
    viewer: { role: session.role, id: $("shared").checked ? $("user").value : null },
  });
}

/** What the streamer has set on the extension's configuration page: the server. */
function configuration() {
  tell("configuration", { content: JSON.stringify({ server }) });
}

function context() {
  tell("context", { context: { theme: $("dark").checked ? "dark" : "light", language: "en", mode: "viewer", isMuted: true, volume: 0.5 } });
}

async function products() {
  const { data: sold } = await json("/sim/products");
  if (sold.length > 0) return sold;
  const answer = await fetch(`${server}/v1/channels/${channel}/products`).catch(() => null);
  if (!answer?.ok) return [];
  const { products: list } = await answer.json();
  return list.map(({ sku, name, price }) => ({ sku, displayName: name, cost: { amount: price, type: "bits" }, inDevelopment: false }));
}

async function pay(sku) {
  const product = (await products()).find((one) => one.sku === sku);
  if (!product) throw new Error(`there is no product ${sku}`);
  const answer = await json("/sim/transactions", { user_id: $("user").value, sku, bits: product.cost.amount });
  tell("transaction", {
    transaction: {
      transactionId: answer.transaction.id, transactionReceipt: answer.receipt, initiator: "current_user",
      displayName: $("user").selectedOptions[0].textContent, userId: $("user").value, product,
    },
  });
}

window.addEventListener("message", async ({ source, origin, data }) => {
  if (source !== frame.contentWindow || origin !== panel) return;
  log("panel:", data);
  if (data.ask === "ready") {
    context();
    configuration();
    await authorize();
  } else if (data.ask === "products") {
    tell("products", { id: data.id, products: await products() });
  } else if (data.ask === "share") {
    $("shared").checked = true;
    await authorize();
  } else if (data.ask === "bits") {
    asked = data.sku;
    $("question").textContent = `Use Bits for ${data.sku}?`;
    $("ask").showModal();
  }
});

$("yes").onclick = () => {
  $("ask").close();
  pay(asked).catch((error) => log("failed:", String(error)));
};
$("no").onclick = () => {
  $("ask").close();
  tell("cancelled", {});
};
$("again").onclick = () => {
  frame.src = `${panel}/${page}?anchor=panel&language=en&mode=viewer&platform=web&state=released`;
};
$("dark").onchange = context;
for (const id of ["user", "role", "shared"]) $(id).onchange = authorize;
$("break").onclick = () => {
  const fault = { route: $("route").value, status: Number($("status").value), times: Number($("times").value) };
  json("/sim/faults", fault).then(() => log("broken:", fault)).catch((error) => log("failed:", String(error)));
};

async function look() {
  const { data, next } = await json(`/sim/pokes?after=${pokes}`);
  pokes = next;
  for (const poke of data) tell("pubsub", { target: "broadcast", message: poke.message });
  const chat = await json("/sim/chat");
  $("chat").textContent = chat.data.map((line) => line.message).reverse().join("\n");
}

const query = new URLSearchParams(location.search);
for (const id of ["user", "role"]) $(id).value = query.get(id) ?? $(id).value;
$("shared").checked = query.has("shared");
$("dark").checked = !query.has("light");
setInterval(() => look().catch(() => {}), 1000);
$("again").click();
