//! PATCH on a session: trickled candidates (RFC 8840) and ICE restarts (RFC 9725, section 4.4.3).

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::App;
use super::extract::{content_type, text};
use super::problem::Problem;
use super::signalling::{FRAGMENT, SessionPath, find};
use crate::engine::Command;
use crate::engine::restart::{NoRestart, Reply, Restart};
use crate::engine::sdp::{self, Credentials, Fragment};
use crate::session::{Protocol, Session, random_name};

/// How long a media thread may take to answer.
const SHARD_TIMEOUT: Duration = Duration::from_secs(2);

/// `PATCH` on a session.
pub(super) async fn patch(
    protocol: Protocol,
    app: App,
    path: SessionPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let session = find(&app, protocol, &path, &headers)?;
    content_type(&headers, FRAGMENT)?;
    check_precondition(&headers, &session.etag, app.shared.config.http.strict_etags)?;
    let fragment = Fragment::read(&text(&app, body).await?).map_err(Problem::Fragment)?;
    if asks_for_restart(&fragment, &session)? {
        restart(&app, &path.session, session, fragment).await
    } else {
        trickle(&app, &session, fragment)
    }
}

fn trickle(app: &App, session: &Session, fragment: Fragment) -> Result<Response, Problem> {
    if !fragment.candidates.is_empty() {
        let command = Command::Candidates(session.peer, fragment.candidates);
        app.shared.shards[session.shard].handle.send(command)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session is renamed first, so that of two restarts at once only one is made; whatever is refused after that
/// is taken back.
async fn restart(
    app: &App,
    id: &str,
    session: Session,
    fragment: Fragment,
) -> Result<Response, Problem> {
    let remote = fragment.credentials().map_err(Problem::Fragment)?;
    let local = Credentials {
        ufrag: random_name(6)?,
        pwd: random_name(16)?,
    };
    let etag = format!("\"{}\"", random_name(8)?);
    let sessions = &app.shared.sessions;
    if !sessions.restart(id, &session.etag, &remote, &etag) {
        let current = sessions.find(id).ok_or(Problem::UnknownSession)?.etag;
        return Err(Problem::Precondition { current });
    }
    let body = sdp::restarted(&session.ice, &local);
    let wanted = Restart {
        local,
        remote,
        candidates: fragment.candidates,
    };
    if let Err(problem) = ask(app, &session, wanted).await {
        sessions.take_back(id, &etag, session);
        return Err(problem);
    }
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    let etag = HeaderValue::from_str(&etag)
        .map_err(|_| Problem::Unreadable("not an entity tag".to_owned()))?;
    headers.insert(header::ETAG, etag);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Lets the session's shard decide.
async fn ask(app: &App, session: &Session, restart: Restart) -> Result<(), Problem> {
    let (tell, told) = oneshot::channel();
    let reply = Reply::new(move |outcome| {
        // A client that has gone does not listen any more.
        let _ = tell.send(outcome);
    });
    let command = Command::Restart(session.peer, Box::new(restart), reply);
    app.shared.shards[session.shard].handle.send(command)?;
    match tokio::time::timeout(SHARD_TIMEOUT, told).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(NoRestart::Gone))) => Err(Problem::UnknownSession),
        Ok(Ok(Err(refused))) => Err(Problem::IceRestart(refused.to_string())),
        Ok(Err(_)) | Err(_) => Err(crate::shard::Busy.into()),
    }
}

/// True for a restart, false for candidates of the ICE session that runs.
fn asks_for_restart(fragment: &Fragment, session: &Session) -> Result<bool, Problem> {
    let Some(ufrag) = &fragment.ufrag else {
        return Ok(false);
    };
    if session.earlier.contains(ufrag) {
        // Candidates that were overtaken by a restart.
        return Err(Problem::Precondition {
            current: session.etag.clone(),
        });
    }
    let running = session.remote.as_ref();
    if running.is_none_or(|running| running.ufrag != *ufrag) {
        return Ok(true);
    }
    let same = |pwd: &String| running.is_some_and(|running| running.pwd == *pwd);
    if fragment.pwd.as_ref().is_none_or(same) {
        Ok(false)
    } else {
        Err(Problem::Fragment(
            "an ICE restart changes ice-ufrag and ice-pwd, not one of them (RFC 8445, section 9)"
                .to_owned(),
        ))
    }
}

/// `If-Match` by RFC 9110, section 13.1.1; many clients send none, so that is an error only where it was asked for.
fn check_precondition(headers: &HeaderMap, etag: &str, strict: bool) -> Result<(), Problem> {
    let mut conditions = headers.get_all(header::IF_MATCH).iter().peekable();
    if conditions.peek().is_none() {
        let current = etag.to_owned();
        return if strict {
            Err(Problem::PreconditionMissing { current })
        } else {
            Ok(())
        };
    }
    let fits = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or_default().split(',');
        tags.map(str::trim).any(|tag| tag == "*" || tag == etag)
    };
    if conditions.any(fits) {
        Ok(())
    } else {
        Err(Problem::Precondition {
            current: etag.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(values: &[&'static str], strict: bool) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        let problem = check_precondition(&headers, "\"now\"", strict).err()?;
        Some(problem.status().as_u16())
    }

    #[test]
    fn w12_a_wrong_tag_fails_always_and_a_missing_one_only_when_strict() {
        for strict in [false, true] {
            assert_eq!(checked(&["\"now\""], strict), None);
            assert_eq!(checked(&["*"], strict), None);
            assert_eq!(checked(&["\"old\", \"now\""], strict), None);
            assert_eq!(checked(&["\"old\"", "\"now\""], strict), None);
            assert_eq!(checked(&["\"old\""], strict), Some(412));
            assert_eq!(checked(&["W/\"now\""], strict), Some(412));
        }
        assert_eq!(checked(&[], false), None);
        assert_eq!(checked(&[], true), Some(428));
    }

    #[test]
    fn w11_a_new_user_fragment_asks_for_a_restart_and_an_old_one_for_nothing() {
        let session = Session {
            protocol: Protocol::Whip,
            channel: "show".to_owned(),
            holder: crate::auth::Holder::Anybody,
            token: None,
            peer: crate::engine::ids::PeerId(1),
            shard: 0,
            since: 0,
            etag: "\"now\"".to_owned(),
            remote: Some(Credentials {
                ufrag: "here".to_owned(),
                pwd: "password".to_owned(),
            }),
            earlier: vec!["past".to_owned()],
            video: None,
            ice: "".into(),
        };
        let asks = |ufrag: Option<&str>, pwd: Option<&str>| {
            let fragment = Fragment {
                ufrag: ufrag.map(str::to_owned),
                pwd: pwd.map(str::to_owned),
                candidates: Vec::new(),
            };
            asks_for_restart(&fragment, &session).map_err(|p| p.status().as_u16())
        };
        assert_eq!(asks(None, None), Ok(false));
        assert_eq!(asks(Some("here"), None), Ok(false));
        assert_eq!(asks(Some("here"), Some("password")), Ok(false));
        assert_eq!(asks(Some("here"), Some("another")), Err(400));
        assert_eq!(asks(Some("new"), Some("another")), Ok(true));
        assert_eq!(asks(Some("past"), Some("password")), Err(412));
    }
}
