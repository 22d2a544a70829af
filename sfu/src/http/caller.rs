//! Whose request it is, as a viewer: the one place that knows.

use axum::http::HeaderMap;
use reverie_moments::life::{Moment, Viewer};
use serde::Deserialize;

use super::App;
use super::extract::{ChannelName, allow};
use super::problem::Problem;
use crate::auth::Need;
use crate::auth::session::Session;

/// How somebody is named who signed in by Twitch.
const BY_TWITCH: &str = "twitch:";

/// What is asked of a viewer's own: in which channel, where the session is for none, and for whom, where it is another's.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    channel: Option<String>,
    viewer: Option<String>,
}

/// A viewer in a channel.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) channel: String,
    pub(super) viewer: Viewer,
}

/// Somebody who is signed in, as a viewer: receipts of Twitch name its user ids, and so do credits.
pub(super) fn viewer(session: &Session) -> Viewer {
    let by_twitch = || session.subject.strip_prefix(BY_TWITCH).map(str::to_owned);
    Viewer {
        opaque: session.subject.clone(),
        id: session.user.clone().or_else(by_twitch),
        name: None,
    }
}

/// Who acts on a moment: its viewer, or whoever runs the server, for its viewer.
pub(super) fn of_moment(
    app: &App,
    headers: &HeaderMap,
    moment: &Moment,
) -> Result<Viewer, Problem> {
    let pass = allow(app, headers, Need::Person).ok();
    let own = pass.and_then(|pass| pass.session.as_ref().map(viewer));
    if !own.is_some_and(|own| is_same(&own, &moment.viewer)) {
        allow(app, headers, Need::Admin)?;
    }
    Ok(moment.viewer.clone())
}

/// Somebody may have shared who they are since they asked for it.
fn is_same(own: &Viewer, other: &Viewer) -> bool {
    own.opaque == other.opaque || (own.id.is_some() && own.id == other.id)
}

/// Who asks for what is their own; a moderator may ask for another viewer.
pub(super) fn of_request(app: &App, headers: &HeaderMap, asked: &Asked) -> Result<Caller, Problem> {
    let session = match &asked.viewer {
        None => allow(app, headers, Need::Person)?.session,
        Some(_) => None,
    };
    let of_session = session.as_ref().and_then(|session| session.channel.clone());
    let channel = asked.channel.clone().or(of_session);
    let channel = channel.ok_or_else(|| Problem::Json("the query needs a channel".to_owned()))?;
    let channel = ChannelName::parse(&channel)?.0;
    let viewer = match (&session, &asked.viewer) {
        (Some(session), _) => viewer(session),
        (None, Some(id)) => {
            allow(app, headers, Need::Moderate(&channel))?;
            Viewer {
                opaque: id.clone(),
                id: Some(id.clone()),
                name: None,
            }
        }
        (None, None) => return Err(Problem::NoToken),
    };
    Ok(Caller { channel, viewer })
}
