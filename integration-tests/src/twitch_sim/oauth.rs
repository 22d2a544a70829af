//! OAuth: signing in with a code and PKCE, applications' own tokens, refreshing, validating, giving back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use axum::extract::{Query, State as Of};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use super::answer::{fine, refused};
use super::state::{CLIENT_ID, CLIENT_SECRET, Code, EXTENSION_ID, STREAMER, State, Token, World};

/// The query of the page where somebody signs in. `user` and `deny` are what they would click.
#[derive(Debug, Deserialize)]
pub(super) struct Authorize {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    state: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    user: Option<String>,
    deny: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Form {
    client_id: String,
    client_secret: String,
    grant_type: String,
    code: String,
    code_verifier: Option<String>,
    redirect_uri: String,
    refresh_token: String,
    token: String,
}

/// `GET /oauth2/authorize`: signs in at once, as the streamer unless told otherwise.
pub(super) async fn authorize(
    Of(state): Of<Arc<State>>,
    Query(asked): Query<Authorize>,
) -> Response {
    if !is_client(&asked.client_id) || asked.response_type != "code" {
        return refused(400, "invalid client or response type");
    }
    if asked.code_challenge.is_some() && asked.code_challenge_method.as_deref() != Some("S256") {
        return refused(400, "invalid code challenge method");
    }
    let back = |query: String| Redirect::to(&format!("{}?{query}", asked.redirect_uri));
    if asked.deny.is_some() {
        let query = format!("error=access_denied&state={}", asked.state);
        return back(query).into_response();
    }
    let mut world = state.lock();
    let code = world.name("code");
    let kept = Code {
        client_id: asked.client_id.clone(),
        redirect_uri: asked.redirect_uri.clone(),
        user: asked.user.clone().unwrap_or_else(|| STREAMER.to_owned()),
        scopes: scopes(&asked.scope),
        challenge: asked.code_challenge.clone(),
    };
    world.codes.insert(code.clone(), kept);
    let query = format!("code={code}&scope={}&state={}", asked.scope, asked.state);
    back(query.replace(' ', "+")).into_response()
}

/// `POST /oauth2/token`.
pub(super) async fn token(Of(state): Of<Arc<State>>, body: String) -> Response {
    let Some(form) = form(&body) else {
        return refused(400, "missing parameters");
    };
    if !is_client(&form.client_id) {
        return refused(400, "invalid client");
    }
    if form.client_secret != CLIENT_SECRET {
        return refused(403, "invalid client secret");
    }
    let mut world = state.lock();
    match form.grant_type.as_str() {
        "client_credentials" => {
            let life = world.life;
            let token = world.grant(new(&form.client_id, None, Vec::new(), life));
            let body = json!({ "access_token": token, "expires_in": life.as_secs(), "token_type": "bearer" });
            fine(200, body)
        }
        "authorization_code" => match exchanged(&mut world, &form) {
            Ok(token) => world.pair(token),
            Err(why) => refused(400, why),
        },
        "refresh_token" => match world.refreshes.remove(&form.refresh_token) {
            Some(kept) if kept.client_id == form.client_id => {
                let token = new(&kept.client_id, kept.user, kept.scopes, world.life);
                world.pair(token)
            }
            _ => refused(400, "Invalid refresh token"),
        },
        _ => refused(400, "invalid grant type"),
    }
}

/// `GET /oauth2/validate`.
pub(super) async fn validate(Of(state): Of<Arc<State>>, headers: HeaderMap) -> Response {
    let offered = headers.get(header::AUTHORIZATION);
    let offered = offered.and_then(|value| value.to_str().ok());
    let token = offered.and_then(|text| {
        text.strip_prefix("OAuth ")
            .or_else(|| text.strip_prefix("Bearer "))
    });
    let world = state.lock();
    let Some(kept) = token.and_then(|token| world.token(token)) else {
        return refused(401, "invalid access token");
    };
    let user = kept.user.as_ref().and_then(|id| world.users.get(id));
    let left = kept.end.saturating_duration_since(Instant::now());
    let mut body =
        json!({ "client_id": kept.client_id, "scopes": kept.scopes, "expires_in": left.as_secs() });
    if let Some(user) = user {
        body["login"] = json!(user.login);
        body["user_id"] = json!(user.id);
    }
    fine(200, body)
}

/// `POST /oauth2/revoke`.
pub(super) async fn revoke(Of(state): Of<Arc<State>>, body: String) -> Response {
    let token = form(&body).unwrap_or_default().token;
    match state.lock().tokens.remove(&token) {
        Some(_) => fine(200, json!({})),
        None => refused(400, "Invalid token"),
    }
}

impl World {
    pub(super) fn token(&self, token: &str) -> Option<&Token> {
        let kept = self.tokens.get(token)?;
        (Instant::now() < kept.end).then_some(kept)
    }

    fn grant(&mut self, token: Token) -> String {
        let name = self.name("token");
        self.tokens.insert(name.clone(), token);
        name
    }

    /// An access token and the one that refreshes it.
    fn pair(&mut self, token: Token) -> Response {
        let refresh = self.name("refresh");
        self.refreshes.insert(refresh.clone(), token.clone());
        let scopes = token.scopes.clone();
        let access = self.grant(token);
        let body = json!({
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": self.life.as_secs(),
            "scope": scopes,
            "token_type": "bearer",
        });
        fine(200, body)
    }
}

fn exchanged(world: &mut World, form: &Form) -> Result<Token, &'static str> {
    // A code is good once, also where the rest is wrong.
    let code = world.codes.remove(&form.code);
    let code = code.ok_or("Invalid authorization code")?;
    if code.client_id != form.client_id || code.redirect_uri != form.redirect_uri {
        return Err("Parameter redirect_uri does not match registered URI");
    }
    if let Some(challenge) = &code.challenge {
        let verifier = form.code_verifier.as_deref().unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
        if URL_SAFE_NO_PAD.encode(digest) != *challenge {
            return Err("Invalid code verifier");
        }
    }
    Ok(new(
        &code.client_id,
        Some(code.user),
        code.scopes,
        world.life,
    ))
}

fn new(client_id: &str, user: Option<String>, scopes: Vec<String>, life: Duration) -> Token {
    Token {
        client_id: client_id.to_owned(),
        user,
        scopes,
        end: Instant::now() + life,
    }
}

fn is_client(client_id: &str) -> bool {
    [CLIENT_ID, EXTENSION_ID].contains(&client_id)
}

fn scopes(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A form is written like a query.
fn form(body: &str) -> Option<Form> {
    let uri: Uri = format!("/?{body}").parse().ok()?;
    Query::<Form>::try_from_uri(&uri)
        .ok()
        .map(|Query(form)| form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_escapes() {
        let form = form("client_id=a&redirect_uri=http%3A%2F%2Fx%2Fback&grant_type=b").unwrap();
        assert_eq!(form.redirect_uri, "http://x/back");
    }
}
