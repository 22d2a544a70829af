//! The HTTP side: routes, what every answer carries, and the connection loop.

mod api;
mod events;
mod extension;
mod extract;
mod health;
mod layers;
mod limit;
mod links;
mod pages;
mod patch;
mod pipelines;
mod problem;
mod rate;
mod serve;
mod session_events;
mod signalling;
mod zip;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{Semaphore, watch};

use tower_http::cors::{AllowOrigin, CorsLayer};

pub(crate) use serve::serve;

use crate::auth::{Auth, Need, Revoked};
use crate::channel::{Channels, Shared};
use crate::session::Protocol;
use extract::{PathOf, is_trusted};
use limit::Limits;
use problem::Problem;
use signalling::SessionPath;

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channels: Channels,
    pub(crate) auth: Arc<Auth>,
    event_streams: Arc<Semaphore>,
    next_shard: Arc<AtomicUsize>,
    limits: Arc<Limits>,
    stopping: watch::Receiver<bool>,
}

impl App {
    /// `stopping` turns true when the server takes no new sessions and ends its event streams.
    pub(crate) fn new(
        channels: Channels,
        revoked: Revoked,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let shared = channels.shared.clone();
        let event_streams = Arc::new(Semaphore::new(shared.config.http.max_event_streams));
        let limits = Arc::new(Limits::new(&shared.config.http));
        Self {
            auth: Arc::new(Auth::new(&shared.config.auth, revoked)),
            shared,
            channels,
            event_streams,
            limits,
            next_shard: Arc::default(),
            stopping,
        }
    }

    fn is_draining(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Viewers are spread over the shards in turn.
    fn next_shard(&self) -> usize {
        self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shared.shards.len()
    }

    /// The stream, ended when the server stops.
    fn until_stopped<S: Stream>(&self, stream: S) -> impl Stream<Item = S::Item> + use<S> {
        let mut stopping = self.stopping.clone();
        stream.take_until(async move {
            // An error means that the server is gone already.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
    }
}

/// Everything but `/metrics`.
pub(crate) fn public(app: App) -> Router {
    let signalling = Router::new()
        .route("/whip/{channel}", get(no_content).post(signalling::publish))
        .route("/whep/{channel}", get(takes_offers).post(signalling::watch))
        .route("/whip/{channel}/{session}", session_routes(Protocol::Whip))
        .route("/whep/{channel}/{session}", session_routes(Protocol::Whep))
        .route(
            "/whep/{channel}/{session}/layer",
            post(layers::select).delete(layers::release),
        )
        .route(
            "/whep/{channel}/{session}/events",
            post(session_events::create),
        )
        .route(
            "/whep/{channel}/{session}/events/{stream}",
            get(session_events::follow).delete(session_events::delete),
        );
    Router::new()
        .merge(signalling)
        .route("/v1/channels", get(api::channels))
        .route("/v1/channels/{channel}", get(api::channel))
        .route("/v1/channels/{channel}/moments", post(api::submit))
        .route("/v1/channels/{channel}/warm", post(api::warm))
        .route("/v1/channels/{channel}/cool", post(api::cool))
        .route("/v1/channels/{channel}/events", get(events::follow))
        .route("/v1/channels/{channel}/pipeline", get(pipelines::status))
        .route(
            "/v1/channels/{channel}/pipeline/params",
            get(pipelines::params).patch(pipelines::patch),
        )
        .route(
            "/v1/channels/{channel}/pipeline/params/schema",
            get(pipelines::schema),
        )
        .route("/v1/pipelines", get(pipelines::list))
        .route("/v1/moments/{id}", get(api::moment))
        .route("/v1/moments/{id}/stop", post(api::stop))
        .route("/", get(pages::index))
        .route("/bridge/{channel}", get(pages::bridge))
        .route("/watch/{channel}", get(pages::watch))
        .route("/mod/{channel}", get(pages::moderator))
        .route("/overlay/{channel}", get(pages::overlay))
        .route("/admin", get(pages::admin))
        .route("/extension.zip", get(extension::packed))
        .route("/assets/{*path}", get(pages::asset))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/version", get(health::version))
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::Method)
        .layer(middleware::from_fn_with_state(app.clone(), limit::limit))
        .layer(cors(&app))
        .layer(middleware::from_fn_with_state(app.clone(), describe))
        .layer(middleware::map_response(never_sniff))
        .layer(middleware::map_response_with_state(hsts(&app), only_https))
        .layer(middleware::from_fn_with_state(app.clone(), measure))
        .with_state(app)
}

/// Only `/metrics`, for its own listener.
pub(crate) fn metrics(app: App) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .fallback(async || Problem::NoSuchPath)
        .with_state(app)
}

fn session_routes(protocol: Protocol) -> axum::routing::MethodRouter<App> {
    get(no_content)
        .patch(move |State(app): State<App>, PathOf(path): PathOf<SessionPath>, headers: HeaderMap, body: Body| {
            patch::patch(protocol, app, path, headers, body)
        })
        .delete(move |State(app): State<App>, PathOf(path): PathOf<SessionPath>, headers: HeaderMap| async move {
            signalling::end(protocol, &app, &path, &headers)
        })
}

/// RFC 9725, section 4.1: GET and HEAD on endpoints and sessions succeed without content.
async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// WHEP, "URL Discoverability": a player knows an endpoint by the content type of a HEAD, whose headers are those of a GET.
async fn takes_offers() -> impl IntoResponse {
    [(header::CONTENT_TYPE, "application/sdp")]
}

/// RFC 9725, sections 4.2 and 4.6: endpoints and sessions say what they take, also in answer to a preflight;
/// an OPTIONS request that is none is told of the ICE servers as well.
async fn describe(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(place) = Place::of(request.uri().path()) else {
        return next.run(request).await;
    };
    let headers = request.headers();
    let preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = request.method() == Method::OPTIONS && !preflight;
    let told = asked.then(|| (place.methods(), place.is_open_to(&app, headers)));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_POST, HeaderValue::from_static("application/sdp"));
    if let Some((methods, trusted)) = told {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        // A page of another origin reads only what is named here, and the layer below names it in no OPTIONS.
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
        links::of_ice(headers, &app.shared.config.media.ice_servers, trusted);
    }
    response
}

/// What a library reads of an OPTIONS request: @eyevinn/whip-web-client the ICE servers and whether PATCH is allowed.
const READABLE: HeaderValue =
    HeaderValue::from_static("allow, link, accept-post, access-control-allow-methods");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// A path of WHIP or WHEP.
struct Place {
    protocol: Protocol,
    channel: String,
    session: bool,
}

impl Place {
    /// `None` for everything that takes no offers and is no session.
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let protocol = match parts.next()? {
            "whip" => Protocol::Whip,
            "whep" => Protocol::Whep,
            _ => return None,
        };
        let channel = parts.next()?.to_owned();
        let session = match parts.count() {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            protocol,
            channel,
            session,
        })
    }

    fn need(&self) -> Need<'_> {
        match self.protocol {
            Protocol::Whip => Need::Publish(&self.channel),
            Protocol::Whep => Need::Watch(&self.channel),
        }
    }

    /// Whether a request may use the channel.
    fn is_open_to(&self, app: &App, headers: &HeaderMap) -> bool {
        is_trusted(app, headers, self.need())
    }

    fn methods(&self) -> &'static str {
        if self.session {
            "OPTIONS, GET, HEAD, PATCH, DELETE"
        } else {
            "OPTIONS, GET, HEAD, POST"
        }
    }
}

async fn never_sniff(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// RFC 6797: what browsers are told to come back by, if they came by HTTPS and the operator says so.
fn hsts(app: &App) -> Option<HeaderValue> {
    let tls = &app.shared.config.http.tls;
    let age = tls.hsts_max_age.as_secs();
    let told = tls.cert.is_some() && age > 0;
    told.then(|| HeaderValue::from_str(&format!("max-age={age}")).ok())?
}

async fn only_https(State(hsts): State<Option<HeaderValue>>, mut response: Response) -> Response {
    if let Some(age) = hsts {
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, age);
    }
    response
}

fn cors(app: &App) -> CorsLayer {
    let origins = &app.shared.config.http.allowed_origins;
    let allowed = if origins.iter().any(|o| o == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::OPTIONS,
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            // With this one @eyevinn/whip-web-client sends its PATCH, once it has read the methods below.
            header::ETAG,
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            ACCEPT_POST,
            HeaderName::from_static("accept-patch"),
        ])
        .max_age(std::time::Duration::from_secs(600))
}

/// Counts and times every request under its route, never under its path.
async fn measure(
    State(app): State<App>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let route = matched
        .as_ref()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    // Clients may make up methods, but not series.
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let start = Instant::now();
    let response = next.run(request).await;
    let metrics = &app.shared.metrics;
    metrics
        .http_seconds
        .with_label_values(&[&route, method])
        .observe(start.elapsed().as_secs_f64());
    metrics
        .http_requests
        .with_label_values(&[&route, method, response.status().as_str()])
        .inc();
    response.into_response()
}
