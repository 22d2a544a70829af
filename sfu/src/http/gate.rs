//! What every request passes on its way to a route: whose it is, and whether the route is for them.
//!
//! A cookie or an API key becomes a session token here, so that nobody behind this knows more than one way to be known;
//! a session that was ended is refused; and what the table of routes asks for is asked for, whatever a handler does.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::extract::{ChannelName, allow, bearer, refused};
use super::problem::Problem;
use super::routes::{self, Rule};
use super::{App, cookies};
use crate::auth::{Denied, Fault, Need};

/// The token or the cookie that a request was let in with, as it came: what lasts longer than a request asks again.
#[derive(Clone)]
pub(super) struct Brought(pub(super) String);

/// Lets a request through or refuses it.
pub(super) async fn gate(
    State(app): State<App>,
    matched: Option<MatchedPath>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    // What leads nowhere is answered so, whoever asks.
    let rule = matched.and_then(|path| routes::rule(request.method(), path.as_str()));
    let Some(rule) = rule.filter(|rule| *rule != Rule::Open) else {
        return next.run(request).await;
    };
    let method = request.method().clone();
    let brought = brought(request.headers());
    if let Err(problem) = known(&app, &method, request.headers_mut()).await {
        return problem.into_response();
    }
    if let Some(brought) = brought.filter(|_| bearer(request.headers()).is_some()) {
        request.extensions_mut().insert(brought);
    }
    let channel = params.ok().and_then(channel_of);
    match admit(&app, rule, channel.as_deref(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The headers of a request with this token, as a handler sees them now: an error where the session is over.
pub(super) async fn vouched(app: &App, token: Option<&str>) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        carry(&mut headers, token)?;
        known(app, &Method::GET, &mut headers).await?;
    }
    Ok(headers)
}

/// A token as a header; none if it cannot be one.
pub(super) fn bearer_of(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn brought(headers: &HeaderMap) -> Option<Brought> {
    let token = bearer(headers).or_else(|| cookies::find(headers, cookies::SESSION));
    token.map(|token| Brought(token.to_owned()))
}

/// Makes a bearer token of whatever the request is known by, and refuses one whose session is over.
async fn known(app: &App, method: &Method, headers: &mut HeaderMap) -> Result<(), Problem> {
    let Some(identity) = &app.identity else {
        return Ok(());
    };
    let (token, from_cookie) = match (bearer(headers), cookies::find(headers, cookies::SESSION)) {
        (Some(token), _) => (token.to_owned(), false),
        (None, Some(token)) => (token.to_owned(), true),
        (None, None) => return Ok(()),
    };
    if let Some(stand_in) = identity.stand_in(&token).await? {
        return carry(headers, &stand_in.0);
    }
    // Of a page that was left open the token is old; what is open to everybody is open to it too.
    let Some(Ok(session)) = app.auth.session(&token) else {
        return Ok(());
    };
    let over = identity.ended(&session).await.map_err(Problem::store)?;
    match (over, from_cookie) {
        (true, false) => Err(refused(app, Denied::Invalid(Fault::Over))),
        (true, true) | (false, false) => Ok(()),
        (false, true) => {
            cookies::same_origin(app, method, headers)?;
            carry(headers, &token)
        }
    }
}

fn carry(headers: &mut HeaderMap, token: &str) -> Result<(), Problem> {
    let value = bearer_of(token).ok_or(Problem::BadToken(Fault::Malformed))?;
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}

fn channel_of(params: RawPathParams) -> Option<String> {
    let found = params.iter().find(|(name, _)| *name == "channel");
    found.map(|(_, channel)| channel.to_owned())
}

fn admit(app: &App, rule: Rule, channel: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
    let ask = |need| allow(app, headers, need).map(drop);
    // A name that is none is refused by whoever reads it, as what it is.
    let on = |need: fn(&str) -> Need<'_>| match channel {
        Some(channel) if ChannelName::parse(channel).is_ok() => {
            allow(app, headers, need(channel)).map(drop)
        }
        _ => Ok(()),
    };
    match rule {
        Rule::Open | Rule::Asks(_) => Ok(()),
        Rule::List => ask(Need::List),
        Rule::Look => on(|channel| Need::Look(channel)),
        Rule::Submit => on(|channel| Need::Submit(channel)),
        Rule::Moderate => on(|channel| Need::Moderate(channel)),
        Rule::Own => on(|channel| Need::Own(channel)),
        Rule::Admin => ask(Need::Admin),
        Rule::Person => ask(Need::Person),
        Rule::Node => ask(Need::Node),
    }
}
