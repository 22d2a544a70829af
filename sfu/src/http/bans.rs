//! The JSON API of viewers of whom a channel takes nothing; `POST /v1/moments/{id}/ban` adds one.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reverie_moments::MomentId;
use reverie_moments::life::{Moment, Ms, Refused, Viewer};
use serde::Serialize;

use super::App;
use super::extract::{ChannelName, PathOf, allow};
use super::problem::Problem;
use crate::auth::Need;
use crate::node::now_ms;

/// The longest ban with an end, in seconds: a year.
const LONGEST: f64 = 31_536_000.0;

/// That a channel takes nothing of a viewer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Ban)]
pub(super) struct Shown {
    /// The moment that was the occasion; it names the ban.
    moment: String,
    /// What its viewer was called then, where that was known.
    viewer: Option<String>,
    /// Milliseconds since the Unix epoch.
    since: Ms,
    /// Likewise; null until it is lifted.
    until: Option<Ms>,
}

/// The bans of a channel.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Bans {
    bans: Vec<Shown>,
}

/// `GET /v1/channels/{channel}/bans`: those that hold, the latest first, 1000 at most.
pub(super) async fn bans(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Json<Bans>, Problem> {
    allow(&app, &headers, Need::Moderate(&name.0))?;
    let bans = app.shared.node.store.bans(now_ms(), &name.0).await?;
    let bans = bans.into_iter().map(|ban| Shown {
        moment: ban.moment.as_str().to_owned(),
        viewer: ban.name,
        since: ban.since,
        until: ban.until,
    });
    Ok(Json(Bans {
        bans: bans.collect(),
    }))
}

/// `DELETE /v1/channels/{channel}/bans/{id}`: takes moments of that viewer again.
pub(super) async fn lift(
    State(app): State<App>,
    PathOf((name, id)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let name = ChannelName::parse(&name)?.0;
    allow(&app, &headers, Need::Moderate(&name))?;
    let store = &app.shared.node.store;
    if !store.lift(now_ms(), &name, &MomentId::new(&*id)).await? {
        return Err(Problem::UnknownBan(id.chars().take(80).collect()));
    }
    if let Some(channel) = app.channels.find(&name) {
        channel.news();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// For how long somebody is banned, in milliseconds, if that can be: whoever is not told apart would take others with them.
pub(super) fn lasts(moment: &Moment, seconds: Option<f64>) -> Result<Option<Ms>, Problem> {
    if !is_told_apart(&moment.viewer) {
        return Err(Refused::NotAllowed {
            id: moment.id.clone(),
            state: moment.state,
            trigger: "a reason to ban: its viewer did not sign in and is not told apart from others",
        }
        .into());
    }
    match seconds {
        None => Ok(None),
        // Within its range this is exact to the millisecond.
        Some(seconds) if (1.0..=LONGEST).contains(&seconds) => {
            Ok(Some((seconds * 1000.0).round() as Ms))
        }
        Some(seconds) => Err(Problem::Json(format!(
            "duration_s is {seconds}; accepted for a ban are 1 to {LONGEST}"
        ))),
    }
}

/// Whether it is one person: those who sign in are called by a kind and a name, and so are the subjects of tokens.
fn is_told_apart(viewer: &Viewer) -> bool {
    let shared = ["anybody", "bearer"].contains(&viewer.opaque.as_str());
    viewer.id.is_some() || !shared && !viewer.opaque.starts_with("token/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_told_apart_is_banned() {
        let of = |opaque: &str, id: Option<&str>| {
            is_told_apart(&Viewer {
                opaque: opaque.into(),
                id: id.map(str::to_owned),
                name: None,
            })
        };
        for shared in ["anybody", "bearer", "token/3"] {
            assert!(!of(shared, None), "{shared}");
            assert!(of(shared, Some("7")), "{shared}");
        }
        for one in ["Uopaque7", "person:5", "subject/ann"] {
            assert!(of(one, None), "{one}");
        }
    }
}
