//! Commands of a socket as requests to the routes that do the same: one set of rules, limits and refusals for both.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use super::super::App;
use super::super::problem::{Problem, without_precondition};
use super::super::routes::Routes;
use super::super::{api, gate, limit, moments, pipelines, queue};
use super::line::Caller;
use super::words::{Answer, Command};

/// The largest answer of a route: a full queue.
const MAX_ANSWER: usize = 4 << 20;

/// The routes that commands go to, each behind what guards it elsewhere.
pub(super) fn router(app: &App) -> Router {
    Routes::new()
        .post("/v1/channels/{channel}/warm", api::warm)
        .patch("/v1/channels/{channel}/pipeline/params", pipelines::patch)
        .post("/v1/channels/{channel}/queue/{act}", queue::act)
        .post("/v1/moments/{id}/{act}", moments::act)
        .some()
        .layer(middleware::from_fn_with_state(app.clone(), gate::gate))
        .layer(middleware::from_fn_with_state(app.clone(), limit::limit))
        .with_state(app.clone())
}

/// The names of commands, for metrics; clients may make up others.
pub(super) fn name(cmd: &str) -> &'static str {
    let known = [
        "approve", "reject", "start", "stop", "move", "ban", "pause", "resume", "warm", "params",
        "ping",
    ];
    known
        .into_iter()
        .find(|name| *name == cmd)
        .unwrap_or("other")
}

/// Carries a command out.
pub(super) async fn run(
    router: Router,
    channel: String,
    caller: Caller,
    token: Option<String>,
    command: Command,
) -> Answer {
    let id = command.id.clone();
    let request = match request(&channel, &command) {
        Ok(Some(request)) => request,
        Ok(None) => return done(id, json!({}), Value::Null),
        Err(problem) => return Answer::refused(id, &problem),
    };
    let response = router.oneshot(caller.sign(request, token.as_deref())).await;
    // The router answers everything.
    let response = response.unwrap_or_else(|never| match never {});
    answer(id, response).await
}

/// The request that a command is; none for `ping`.
fn request(channel: &str, command: &Command) -> Result<Option<Request<Body>>, Problem> {
    let of_channel = |rest: &str| format!("/v1/channels/{channel}/{rest}");
    let post = Method::POST;
    let (method, path, body) = match name(&command.cmd) {
        "ping" => return Ok(None),
        act @ ("approve" | "reject" | "start" | "stop" | "move" | "ban") => {
            let path = format!("/v1/moments/{}/{act}", moment(command)?);
            let said = [
                ("reason", command.reason.clone().map(Value::from)),
                ("position", command.position.map(Value::from)),
            ];
            (post, path, fields(said))
        }
        act @ ("pause" | "resume") => (post, of_channel(&format!("queue/{act}")), Value::Null),
        "warm" => {
            let said = [("pipeline", command.pipeline.clone().map(Value::from))];
            (post, of_channel("warm"), fields(said))
        }
        "params" => {
            let patch = command.params.clone();
            let patch = patch.ok_or_else(|| Problem::Json("params is missing".to_owned()))?;
            (Method::PATCH, of_channel("pipeline/params"), patch)
        }
        _ => return Err(Problem::Command(command.cmd.clone())),
    };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(version) = &command.version {
        request = request.header(header::IF_MATCH, tag(version)?);
    }
    if !body.is_null() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = request.body(body);
    // Every part was looked at.
    request
        .map(Some)
        .map_err(|error| Problem::Json(error.to_string()))
}

/// The moment that a command is about; ids are plain, so none leads to another path.
fn moment(command: &Command) -> Result<&str, Problem> {
    let id = command.moment.as_deref();
    let id = id.ok_or_else(|| Problem::Json("moment is missing".to_owned()))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) {
        Ok(id)
    } else {
        Err(Problem::UnknownMoment(id.chars().take(80).collect()))
    }
}

fn fields<const N: usize>(said: [(&str, Option<Value>); N]) -> Value {
    let said = said.into_iter();
    let said: Map<_, _> = said
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    if said.is_empty() {
        Value::Null
    } else {
        Value::Object(said)
    }
}

/// A version as an entity tag.
fn tag(version: &Value) -> Result<String, Problem> {
    let plain = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match version {
        Value::Number(n) if n.is_i64() => Ok(format!("\"{n}\"")),
        Value::String(text) if plain(&text.as_str()) => Ok(format!("\"{text}\"")),
        other => Err(Problem::Json(format!(
            "version is {other}; accepted is that of a moment, or the entity tag of parameters without its quotes"
        ))),
    }
}

fn done(id: Value, data: Value, version: Value) -> Answer {
    Answer {
        id,
        outcome: Ok(data),
        version,
        stale: false,
    }
}

async fn answer(id: Value, response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if parts.status.is_success() {
        let version = version(&parts.headers);
        return done(id, body, version);
    }
    let status = without_precondition(parts.status);
    let version = body["moment"]["version"].clone();
    let mut error = body;
    error["status"] = status.as_u16().into();
    Answer {
        id,
        outcome: Err(error),
        version,
        stale: status == StatusCode::CONFLICT,
    }
}

/// What a route says with `ETag`: the number of a moment's version, or the hash of parameters.
fn version(headers: &HeaderMap) -> Value {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let Some(tag) = tag.map(|tag| tag.trim_matches('"')) else {
        return Value::Null;
    };
    // A hash has 16 digits and may have no letter.
    match tag.parse::<i64>() {
        Ok(n) if tag.len() < 16 => n.into(),
        _ => tag.into(),
    }
}

impl Caller {
    /// Puts a request under the caller's name.
    fn sign(&self, mut request: Request<Body>, token: Option<&str>) -> Request<Body> {
        let headers = request.headers_mut();
        if let Some(value) = token.and_then(gate::bearer_of) {
            headers.insert(header::AUTHORIZATION, value);
        }
        for hop in &self.forwarded {
            headers.append(limit::FORWARDED, hop.clone());
        }
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::{Said, read};
    use super::*;

    async fn made(text: &str) -> Result<Option<(String, Option<String>, Value)>, u16> {
        let Ok(Said::Command(command)) = read(text) else {
            panic!("{text} is no command")
        };
        let request = request("show", &command).map_err(|problem| problem.status().as_u16())?;
        let Some(request) = request else {
            return Ok(None);
        };
        let line = format!("{} {}", request.method(), request.uri());
        let tag = request.headers().get(header::IF_MATCH);
        let tag = tag.map(|tag| tag.to_str().unwrap().to_owned());
        let body = to_bytes(request.into_body(), 1_000).await.unwrap();
        Ok(Some((
            line,
            tag,
            serde_json::from_slice(&body).unwrap_or_default(),
        )))
    }

    #[tokio::test]
    async fn a_command_is_the_request_that_does_the_same() {
        let tag = Some("\"3\"".to_owned());
        for (said, line, tag, body) in [
            (
                r#"{"id":1,"cmd":"reject","moment":"m1","version":3,"reason":"no"}"#,
                "POST /v1/moments/m1/reject",
                tag.clone(),
                json!({ "reason": "no" }),
            ),
            (
                r#"{"id":1,"cmd":"move","moment":"m1","version":3,"position":2}"#,
                "POST /v1/moments/m1/move",
                tag,
                json!({ "position": 2 }),
            ),
            (
                r#"{"id":1,"cmd":"resume"}"#,
                "POST /v1/channels/show/queue/resume",
                None,
                Value::Null,
            ),
            (
                r#"{"id":1,"cmd":"warm","pipeline":"p"}"#,
                "POST /v1/channels/show/warm",
                None,
                json!({ "pipeline": "p" }),
            ),
            (
                r#"{"id":1,"cmd":"params","version":"00ff","params":{"seed":1}}"#,
                "PATCH /v1/channels/show/pipeline/params",
                Some("\"00ff\"".to_owned()),
                json!({ "seed": 1 }),
            ),
        ] {
            let made = made(said).await;
            assert_eq!(made, Ok(Some((line.to_owned(), tag, body))), "{said}");
        }
        assert_eq!(made(r#"{"id":1,"cmd":"ping"}"#).await, Ok(None));
    }

    #[tokio::test]
    async fn a_command_reaches_no_other_path() {
        for (said, status) in [
            (r#"{"id":1,"cmd":"cancel","moment":"m1"}"#, 422),
            (r#"{"id":1,"cmd":"approve"}"#, 422),
            (r#"{"id":1,"cmd":"approve","moment":"../x"}"#, 404),
            (r#"{"id":1,"cmd":"approve","moment":"a/receipt?"}"#, 404),
            (
                r#"{"id":1,"cmd":"approve","moment":"m","version":"\"*\""}"#,
                422,
            ),
            (r#"{"id":1,"cmd":"params"}"#, 422),
        ] {
            assert_eq!(made(said).await, Err(status), "{said}");
        }
    }
}
