//! What Twitch sends, and what viewers send who paid by it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use reverie_moments::MomentId;
use reverie_moments::life::{Moment, State as MomentState};
use reverie_moments::store::Paid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::App;
use super::caller::{self, Asked, Caller};
use super::extract::{PathOf, allow, json, text};
use super::problem::Problem;
use crate::auth::Need;
use crate::node::now_ms;
use crate::twitch::eventsub::{Fault, Heard, Signed};
use crate::twitch::intent::LIFE_S;
use crate::twitch::payment::Payment;

/// How many of their moments a viewer sees.
const OWN: u32 = 50;

/// Body of a receipt.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Payment)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    intent: String,
    receipt: String,
}

/// A moment as its viewer sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OwnMoment)]
pub(super) struct Own {
    #[schema(value_type = String)]
    id: MomentId,
    channel: String,
    #[schema(value_type = String)]
    state: MomentState,
    sku: String,
    price: i64,
    prompt: String,
    reason: Option<String>,
    compensation: &'static str,
    created_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    version: i64,
}

/// `POST /v1/twitch/eventsub`.
pub(super) async fn eventsub(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let twitch = &app.shared.twitch;
    let eventsub = twitch.eventsub.as_ref().ok_or(Problem::NoTwitch)?;
    let body = text(&app, body).await?;
    let signed = signed(&headers).ok_or(Fault::Signature);
    let heard = signed.and_then(|signed| {
        let heard = eventsub.hear(signed, body.as_bytes(), now_ms())?;
        Ok((signed.id, heard))
    });
    let (id, heard) = heard.map_err(|fault| {
        twitch.count_notification("refused");
        Problem::Notification(fault)
    })?;
    let result = match heard {
        // The only answer that Twitch reads: as plain text, and nothing else.
        Heard::Challenge(challenge) => {
            twitch.count_notification("challenge");
            return Ok(([(header::CONTENT_TYPE, "text/plain")], challenge).into_response());
        }
        Heard::Revoked { kind, why } => {
            tracing::warn!(kind, why, "Twitch ends a subscription to notifications");
            "revoked"
        }
        Heard::Paid(payment) => {
            take_in(&app, payment).await?;
            "taken"
        }
        Heard::Repeated => "repeated",
        Heard::Other(kind) => {
            tracing::info!(kind, "a notification of a kind that was not asked for");
            "other"
        }
    };
    eventsub.taken(id, now_ms());
    twitch.count_notification(result);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where the store fails, Twitch is told so, and sends it again.
async fn take_in(app: &App, payment: Payment) -> Result<(), Problem> {
    let (twitch, store) = (&app.shared.twitch, &app.shared.node.store);
    let extension = app.shared.config.twitch.extension_client_id.as_deref();
    let extension = extension.ok_or(Problem::NoTwitch)?;
    let taken = payment.take_in(store, extension, now_ms()).await?;
    twitch.count_payment("notified", taken.name());
    Ok(())
}

fn signed(headers: &HeaderMap) -> Option<Signed<'_>> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    Some(Signed {
        id: header("twitch-eventsub-message-id")?,
        timestamp: header("twitch-eventsub-message-timestamp")?,
        signature: header("twitch-eventsub-message-signature")?,
        kind: header("twitch-eventsub-message-type")?,
    })
}

/// `POST /v1/moments/{id}/receipt`. The intent, which was signed for one viewer and one moment, is what opens it; the
/// receipt, which Twitch signed, is what pays.
pub(super) async fn receipt(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let twitch = &app.shared.twitch;
    let proof: Proof = json(&app, &headers, body, false).await?;
    let extension = twitch.extension.as_ref().ok_or(Problem::NoTwitch)?;
    let refused = |problem: Problem| {
        twitch.count_payment("receipt", "refused");
        problem
    };
    let intent = extension.intents.read(&proof.intent);
    let intent = intent.map_err(|_| refused(Problem::Intent))?;
    if intent.moment.as_str() != id {
        return Err(refused(Problem::Intent));
    }
    if !intent.is_open(now_ms()) {
        // Whoever began to pay in time is not turned away for having taken long.
        tracing::debug!(moment = id, "a receipt comes after its intent has ended");
    }
    let purchase = extension.receipts.read(&proof.receipt);
    let purchase = purchase.map_err(|fault| refused(Problem::Receipt(fault)))?;
    let receipt = purchase.of_moment(&intent.channel, intent.moment, proof.receipt);
    let paid = app.shared.node.store.accept(now_ms(), &receipt).await;
    let paid = paid.map_err(|error| refused(error.into()))?;
    let (word, moment) = match paid {
        Paid::Accepted(moment) => ("accepted", Some(moment)),
        Paid::Repeated(moment) => ("repeated", Some(moment)),
        Paid::Credited => ("credited", None),
        Paid::RepeatedCredit => ("credited", None),
    };
    twitch.count_payment("receipt", word);
    let moment = match moment {
        Some(moment) => moment,
        None => app.shared.node.store.moment(&MomentId::new(id)).await?,
    };
    Ok(Json(json!({ "paid": word, "moment": Own::from(moment) })))
}

/// `POST /v1/moments/{id}/intent`: another one, for a page whose minute is over before it begins to pay.
pub(super) async fn intent(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    allow(&app, &headers, Need::Change)?;
    let moment = app.shared.node.store.moment(&MomentId::new(id)).await?;
    caller::of_moment(&app, &headers, &moment)?;
    let intent = app.shared.twitch.intent(&moment, now_ms());
    let intent = intent.ok_or(Problem::NoTwitch)?;
    Ok(Json(json!({ "intent": intent, "lasts_s": LIFE_S })))
}

/// `POST /v1/moments/{id}/credit`.
pub(super) async fn credit(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    allow(&app, &headers, Need::Change)?;
    let (store, id) = (&app.shared.node.store, MomentId::new(id));
    let moment = store.moment(&id).await?;
    let viewer = caller::of_moment(&app, &headers, &moment)?;
    let moment = store.spend(now_ms(), &id, viewer.account()).await?;
    Ok(Json(
        json!({ "paid": "accepted", "moment": Own::from(moment) }),
    ))
}

/// `GET /v1/me/credits`.
pub(super) async fn credits(
    State(app): State<App>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(|why| Problem::Json(why.body_text()))?;
    let Caller { channel, viewer } = caller::of_request(&app, &headers, &asked)?;
    let store = &app.shared.node.store;
    let balance = store.balance(&channel, viewer.account()).await?;
    let name = app.shared.twitch.name(viewer.id.as_deref()).await;
    let body = json!({ "channel": channel, "name": name, "credits": balance });
    Ok(Json(body))
}

/// `GET /v1/me/moments`.
pub(super) async fn moments(
    State(app): State<App>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(|why| Problem::Json(why.body_text()))?;
    let Caller { channel, viewer } = caller::of_request(&app, &headers, &asked)?;
    let moments = app.shared.node.store.of_viewer(&viewer.opaque, OWN).await?;
    let own = moments
        .into_iter()
        .filter(|moment| moment.channel == channel)
        .map(Own::from);
    Ok(Json(json!({ "moments": own.collect::<Vec<_>>() })))
}

impl From<Moment> for Own {
    fn from(moment: Moment) -> Self {
        Self {
            id: moment.id,
            channel: moment.channel,
            state: moment.state,
            sku: moment.sku,
            price: moment.price,
            prompt: moment.prompt,
            reason: moment.reason.map(|reason| reason.to_string()),
            compensation: moment.compensation.as_str(),
            created_at: moment.created_at,
            started_at: moment.started_at,
            ended_at: moment.ended_at,
            version: moment.version,
        }
    }
}
