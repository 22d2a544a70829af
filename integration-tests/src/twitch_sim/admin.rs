//! What a person or a script can do to the stand-in, and look at: `/sim`.

use std::sync::Arc;

use axum::extract::{Query, State as Of};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{fine, refused};
use super::bits::{self, Order};
use super::helix::Pairs;
use super::jwt;
use super::state::{EXTENSION_SECRET, Fault, STREAMER, State, User, VIEWER, now};

/// How long the tokens of the helper last, in seconds.
const LIFE_S: u64 = 3600;

#[derive(Debug, Deserialize)]
struct Broken {
    route: String,
    #[serde(flatten)]
    fault: Fault,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    route: String,
    calls: u32,
    window_s: u64,
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/faults", post(fault))
        .route("/limits", post(limit))
        .route("/transactions", get(transactions).post(pay))
        .route("/users", post(add_user))
        .route("/revoke-tokens", post(revoke))
        .route("/chat", get(chat))
        .route("/pokes", get(pokes))
        .route("/subscriptions", get(subscriptions))
        .route("/session", get(session))
        .route("/products", get(products))
}

async fn fault(Of(state): Of<Arc<State>>, Json(wanted): Json<Broken>) -> Response {
    state.lock().add_fault(&wanted.route, wanted.fault);
    fine(200, json!({}))
}

async fn limit(Of(state): Of<Arc<State>>, Json(wanted): Json<Limited>) -> Response {
    let mut world = state.lock();
    world.set_limit(&wanted.route, wanted.calls, wanted.window_s);
    fine(200, json!({}))
}

async fn pay(Of(state): Of<Arc<State>>, Json(order): Json<Order>) -> Response {
    match bits::pay(&state, order).await {
        Ok((transaction, receipt)) => fine(
            200,
            json!({ "transaction": transaction, "receipt": receipt }),
        ),
        Err(error) => refused(502, &format!("{error:#}")),
    }
}

async fn add_user(Of(state): Of<Arc<State>>, Json(user): Json<User>) -> Response {
    state.lock().users.insert(user.id.clone(), user);
    fine(200, json!({}))
}

async fn revoke(Of(state): Of<Arc<State>>) -> Response {
    state.lock().tokens.clear();
    fine(200, json!({}))
}

async fn transactions(Of(state): Of<Arc<State>>) -> Response {
    let world = state.lock();
    fine(200, json!({ "data": world.transactions }))
}

async fn chat(Of(state): Of<Arc<State>>) -> Response {
    let world = state.lock();
    fine(200, json!({ "data": world.chat }))
}

/// With `after=n`, those behind the first n.
async fn pokes(Of(state): Of<Arc<State>>, Query(asked): Pairs) -> Response {
    let after = asked.get("after").and_then(|after| after.parse().ok());
    let world = state.lock();
    let rest = world.pokes.get(after.unwrap_or(0)..).unwrap_or_default();
    fine(200, json!({ "data": rest, "next": world.pokes.len() }))
}

/// What the extension sells, as the helper tells it.
async fn products(Of(state): Of<Arc<State>>) -> Response {
    let product = |(sku, price): &(String, u32)| {
        let cost = json!({ "amount": price, "type": "bits" });
        json!({ "sku": sku, "displayName": sku, "cost": cost, "inDevelopment": false })
    };
    let sold: Vec<Value> = state.setup.products.iter().map(product).collect();
    fine(200, json!({ "data": sold }))
}

async fn subscriptions(Of(state): Of<Arc<State>>) -> Response {
    let world = state.lock();
    fine(200, json!({ "data": world.subscriptions }))
}

/// What the helper is given: `user`, `role` and `shared=1` say who looks, `broadcaster` at whose channel.
async fn session(Of(_state): Of<Arc<State>>, Query(asked): Pairs) -> Response {
    let of = |name: &str, default: &str| {
        let value = asked.get(name).filter(|value| !value.is_empty());
        value.map_or_else(|| default.to_owned(), Clone::clone)
    };
    let (user, channel) = (of("user", VIEWER), of("broadcaster", STREAMER));
    let (role, shared) = (of("role", "viewer"), asked.contains_key("shared"));
    let token = token(&user, &channel, &role, shared);
    fine(
        200,
        json!({ "token": token, "opaque": opaque(&user), "channel": channel, "role": role }),
    )
}

/// The token that the helper gives a page.
pub(super) fn token(user: &str, channel: &str, role: &str, shared: bool) -> String {
    let mut claims: Value = json!({
        "exp": now().as_secs() + LIFE_S,
        "opaque_user_id": opaque(user),
        "channel_id": channel,
        "role": role,
        "is_unlinked": !shared,
        "pubsub_perms": { "listen": ["broadcast"], "send": [] },
    });
    if shared {
        claims["user_id"] = json!(user);
    }
    jwt::sign(EXTENSION_SECRET, &claims)
}

fn opaque(user: &str) -> String {
    format!("Uopaque{user}")
}
