// A panel without looks: asks for a moment, pays for it, and tells what the server said.

const { server, channel } = document.currentScript.dataset;
const { ext } = window.Twitch;
const $ = (id) => document.getElementById(id);
const status = (text) => { $("status").textContent = text; };
let session = null;
let open = null;

async function call(path, body) {
  const headers = { "content-type": "application/json" };
  if (session) headers.authorization = `Bearer ${session}`;
  const answer = await fetch(`${server}${path}`, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? `the server answers ${answer.status}`);
  return said;
}

ext.onAuthorized(async (auth) => {
  try {
    const said = await call("/v1/auth/twitch-ext", { token: auth.token });
    session = said.token ?? said.access_token;
    status(`signed in as ${ext.viewer.role}`);
  } catch (error) {
    status(`not signed in: ${error.message}`);
  }
});

ext.onContext(({ theme }) => {
  document.body.style.background = theme === "dark" ? "#0e0e10" : "#555";
});

ext.bits.getProducts().then((products) => {
  $("products").replaceChildren(...products.map((product) => {
    const button = document.createElement("button");
    button.textContent = `${product.displayName}: Use ${product.cost.amount} Bits`;
    button.onclick = () => ask(product.sku);
    return button;
  }));
});

async function ask(sku) {
  try {
    open = await call(`/v1/channels/${channel}/moments`, { prompt: $("prompt").value, sku });
    status(`asked for: ${open.state}`);
    if (open.intent) ext.bits.useBits(sku);
  } catch (error) {
    status(`refused: ${error.message}`);
  }
}

ext.bits.onTransactionComplete(async (transaction) => {
  if (transaction.initiator !== "current_user" || !open) return;
  try {
    const moment = await call(`/v1/moments/${open.id}/receipt`, { intent: open.intent, receipt: transaction.transactionReceipt });
    status(`paid: ${moment.state}`);
  } catch (error) {
    status(`not taken: ${error.message}`);
  }
});

ext.bits.onTransactionCancelled(() => status("cancelled"));
ext.listen("broadcast", (_, __, message) => status(`poked: ${message}`));
$("share").onclick = () => ext.actions.requestIdShare();
