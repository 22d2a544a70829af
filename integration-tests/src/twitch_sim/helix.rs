//! The part of Helix that Reverie uses, and its rules.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, RawQuery, State as Of};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{fine, refused};
use super::jwt;
use super::state::{
    BOT, EXTENSION_ID, EXTENSION_SECRET, EXTENSION_SECRET_OLD, Line, OWNER, Poke, State, Token,
    World,
};

/// The longest line of a chat, in characters.
const MAX_LINE: usize = 500;
/// The largest message to an extension's pages, in bytes.
const MAX_POKE: usize = 5 * 1024;
/// The most transactions on a page.
const MAX_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Said {
    broadcaster_id: String,
    sender_id: String,
    message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Told {
    target: Vec<String>,
    broadcaster_id: String,
    message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    extension_id: String,
    #[serde(default)]
    first: Option<usize>,
    #[serde(default)]
    after: Option<String>,
}

/// `GET /helix/users?id=..&id=..`; without an id, whose token it is.
pub(super) async fn users(
    Of(state): Of<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let world = state.lock();
    let token = match authorized(&world, &headers) {
        Ok(token) => token,
        Err(why) => return refused(401, why),
    };
    let query = query.unwrap_or_default();
    let mut ids: Vec<&str> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("id="))
        .collect();
    if ids.is_empty() {
        ids.extend(token.user.as_deref());
    }
    if ids.is_empty() || ids.len() > 100 {
        return refused(400, "1 to 100 ids or logins are needed");
    }
    let found: Vec<_> = ids.iter().filter_map(|id| world.users.get(*id)).collect();
    fine(200, json!({ "data": found }))
}

/// `POST /helix/chat/messages`.
pub(super) async fn chat(
    Of(state): Of<Arc<State>>,
    headers: HeaderMap,
    Json(said): Json<Said>,
) -> Response {
    let mut world = state.lock();
    let token = match authorized(&world, &headers) {
        Ok(token) => token.clone(),
        Err(why) => return refused(401, why),
    };
    let may = match &token.user {
        // The bot has allowed the application to write in its name, and the streamer has let it in.
        None => said.sender_id == BOT,
        Some(user) => {
            *user == said.sender_id && token.scopes.iter().any(|s| s == "user:write:chat")
        }
    };
    if !may {
        return refused(403, "The sender is not permitted to send chat messages");
    }
    if !world.users.contains_key(&said.broadcaster_id) {
        return refused(400, "The ID in broadcaster_id is not valid");
    }
    if said.message.is_empty() || said.message.chars().count() > MAX_LINE {
        return refused(422, "The message must be 1 to 500 characters");
    }
    let held_back = said.message.contains("AUTOMOD");
    let id = world.name("message");
    if !held_back {
        world.chat.push(Line {
            broadcaster_id: said.broadcaster_id,
            sender_id: said.sender_id,
            message: said.message,
        });
    }
    let reason = held_back.then(|| json!({ "code": "msg_rejected", "message": "held by AutoMod" }));
    let sent = json!({ "message_id": id, "is_sent": !held_back, "drop_reason": reason });
    fine(200, json!({ "data": [sent] }))
}

/// `POST /helix/extensions/pubsub`: the token is the extension's own JWT.
pub(super) async fn pubsub(
    Of(state): Of<Arc<State>>,
    headers: HeaderMap,
    Json(told): Json<Told>,
) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let secrets = [EXTENSION_SECRET, EXTENSION_SECRET_OLD];
    let claims = secrets.iter().find_map(|secret| jwt::read(secret, token));
    let Some(claims) = claims else {
        return refused(401, "JWT token is invalid");
    };
    let may_send = claims["pubsub_perms"]["send"]
        .as_array()
        .is_some_and(|targets| targets.iter().any(|target| target == "broadcast"));
    if claims["user_id"] != OWNER || claims["role"] != "external" || !may_send {
        return refused(403, "the token does not permit this");
    }
    if claims["channel_id"] != told.broadcaster_id.as_str() {
        return refused(400, "channel_id and broadcaster_id must match");
    }
    if header_of(&headers, "client-id") != EXTENSION_ID || told.target != ["broadcast"] {
        return refused(400, "the client id or the target is not valid");
    }
    if told.message.len() > MAX_POKE {
        return refused(422, "The message is larger than 5 KB");
    }
    let at_ms = u64::try_from(state.began.elapsed().as_millis()).unwrap_or(u64::MAX);
    state.lock().pokes.push(Poke {
        broadcaster_id: told.broadcaster_id,
        message: told.message,
        at_ms,
    });
    StatusCode::NO_CONTENT.into_response()
}

/// `GET /helix/extensions/transactions`: newest first, page by page.
pub(super) async fn transactions(
    Of(state): Of<Arc<State>>,
    headers: HeaderMap,
    Query(asked): Query<Listing>,
) -> Response {
    let world = state.lock();
    let token = match authorized(&world, &headers) {
        Ok(token) => token,
        Err(why) => return refused(401, why),
    };
    if token.user.is_some() || token.client_id != asked.extension_id {
        return refused(401, "The client ID is not the extension's");
    }
    let first = asked.first.unwrap_or(20).clamp(1, MAX_PAGE);
    let begin: usize = match asked.after.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(begin)) => begin,
        Some(Err(_)) => return refused(400, "The cursor is not valid"),
    };
    let newest = world.transactions.iter().rev();
    let page: Vec<Value> = newest
        .skip(begin)
        .take(first)
        .map(|transaction| listed(&world, transaction))
        .collect();
    let end = begin + page.len();
    let more = end < world.transactions.len();
    let pagination = if more {
        json!({ "cursor": end.to_string() })
    } else {
        json!({})
    };
    fine(200, json!({ "data": page, "pagination": pagination }))
}

fn listed(world: &World, transaction: &super::Transaction) -> Value {
    let name = |id: &str| world.users.get(id).map(|user| user.display_name.clone());
    json!({
        "id": transaction.id,
        "timestamp": transaction.timestamp,
        "broadcaster_id": transaction.broadcaster_id,
        "broadcaster_name": name(&transaction.broadcaster_id),
        "user_id": transaction.user_id,
        "user_name": name(&transaction.user_id),
        "product_type": "BITS_IN_EXTENSION",
        "product_data": {
            "domain": format!("twitch.ext.{EXTENSION_ID}"),
            "sku": transaction.sku,
            "displayName": transaction.sku,
            "inDevelopment": transaction.in_development,
            "broadcast": false,
            "expiration": "",
            "cost": { "amount": transaction.bits, "type": "bits" },
        },
    })
}

/// The token, if it is one, and of the application that asks.
pub(super) fn authorized<'a>(
    world: &'a World,
    headers: &HeaderMap,
) -> Result<&'a Token, &'static str> {
    let token = bearer(headers).and_then(|token| world.token(token));
    let token = token.ok_or("Invalid OAuth token")?;
    if header_of(headers, "client-id") != token.client_id {
        return Err("Client ID and OAuth token do not match");
    }
    Ok(token)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

fn header_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// The query of a request as pairs, for routes of the stand-in itself.
pub(super) type Pairs = Query<HashMap<String, String>>;
