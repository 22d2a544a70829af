//! `/v1/roles`: who is made moderator, streamer or admin, and who is it no longer.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reverie_moments::store::Role;
use serde::Deserialize;

use super::identity;
use crate::auth::Need;
use crate::http::App;
use crate::http::extract::{ChannelName, allow, json};
use crate::http::problem::Problem;
use crate::identity::now_ms;

/// Who becomes what where.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = RoleChange)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Wanted {
    /// The address of their account.
    email: String,
    role: String,
    /// None for admins.
    channel: Option<String>,
}

/// A wish that the caller may have.
struct Change {
    channel: String,
    subject: String,
    role: Role,
}

/// `POST /v1/roles`: gives a role. Streamers make moderators, admins everything.
pub(super) async fn grant(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Change {
        channel,
        subject,
        role,
    } = wanted(&app, &headers, body).await?;
    let store = &identity(&app)?.store;
    let streamer = store.streamer(&channel).await.map_err(Problem::store)?;
    if role == Role::Streamer && streamer.is_some_and(|other| other != subject) {
        let why = format!("channel {channel:?} has a streamer; take that role back first");
        return Err(Problem::ChannelTaken(why));
    }
    store
        .grant(now_ms(), &channel, &subject, role)
        .await
        .map_err(Problem::store)?;
    tracing::info!(subject, channel, role = role.as_str(), "a role was given");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/roles`: takes it back, and ends the sessions of whoever had it.
pub(super) async fn withdraw(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Change {
        channel,
        subject,
        role,
    } = wanted(&app, &headers, body).await?;
    let store = &identity(&app)?.store;
    let had = store
        .withdraw(&channel, &subject, role)
        .await
        .map_err(Problem::store)?;
    if had {
        store
            .end_sessions_of(&subject)
            .await
            .map_err(Problem::store)?;
        tracing::info!(
            subject,
            channel,
            role = role.as_str(),
            "a role was taken back"
        );
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn wanted(app: &App, headers: &HeaderMap, body: Body) -> Result<Change, Problem> {
    let identity = identity(app)?;
    // Who is nobody learns nothing of what is wrong with the body.
    allow(app, headers, Need::Change)?;
    let Wanted {
        email,
        role,
        channel,
    } = json(app, headers, body, false).await?;
    let role = Role::named(&role)
        .ok_or_else(|| Problem::Json("role is mod, streamer or admin".to_owned()))?;
    let channel = match (role, channel) {
        (Role::Admin, None) => String::new(),
        (Role::Mod | Role::Streamer, Some(channel)) => ChannelName::parse(&channel)?.0,
        _ => {
            let why = "an admin has no channel, and everybody else has one";
            return Err(Problem::Json(why.to_owned()));
        }
    };
    let need = match role {
        Role::Mod => Need::Own(&channel),
        Role::Streamer | Role::Admin => Need::Admin,
    };
    allow(app, headers, need)?;
    let person = identity.store.person_by_email(&email).await;
    let person = person.map_err(Problem::store)?.ok_or_else(|| {
        let email: String = email.chars().take(80).collect();
        Problem::Json(format!("{email:?} has no account here"))
    })?;
    Ok(Change {
        channel,
        subject: person.subject(),
        role,
    })
}
