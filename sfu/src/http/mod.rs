//! The HTTP side: routes, what every answer carries, and the connection loop.

mod admin;
mod api;
mod auth;
mod bans;
mod caller;
mod cookies;
mod events;
mod extension;
mod extract;
mod gate;
mod health;
mod layers;
mod limit;
mod links;
mod moments;
mod openapi;
mod pages;
mod patch;
mod pipelines;
mod problem;
mod products;
mod queue;
mod rate;
pub(crate) mod routes;
mod serve;
mod session_events;
mod settings;
mod signalling;
mod socket;
mod submission;
mod twitch;
mod zip;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{Semaphore, watch};

use tower_http::cors::{AllowOrigin, CorsLayer};

pub(crate) use serve::serve;

use crate::analytics::Analytics;
use crate::auth::{Auth, Need, Revoked};
use crate::channel::{Channels, Shared};
use crate::identity::Identity;
use crate::session::Protocol;
use extract::{PathOf, is_trusted};
use limit::Limits;
use problem::Problem;
use routes::Routes;
use signalling::SessionPath;
use socket::Sockets;

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channels: Channels,
    pub(crate) auth: Arc<Auth>,
    /// Who people are; `None` without a key for their sessions.
    pub(crate) identity: Option<Arc<Identity>>,
    event_streams: Arc<Semaphore>,
    pub(crate) sockets: Sockets,
    next_shard: Arc<AtomicUsize>,
    limits: Arc<Limits>,
    stopping: watch::Receiver<bool>,
}

impl App {
    /// `stopping` turns true when the server takes no new sessions and ends its event streams.
    pub(crate) fn new(
        channels: Channels,
        revoked: Revoked,
        identity: Option<Arc<Identity>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let shared = channels.shared.clone();
        let event_streams = Arc::new(Semaphore::new(shared.config.http.max_event_streams));
        let limits = Arc::new(Limits::new(&shared.config.http));
        Self {
            auth: Arc::new(Auth::new(&shared.config.auth, revoked)),
            identity,
            shared,
            channels,
            event_streams,
            sockets: Sockets::new(),
            limits,
            next_shard: Arc::default(),
            stopping,
        }
    }

    fn is_draining(&self) -> bool {
        *self.stopping.borrow() || self.shared.drained.load(Ordering::Relaxed)
    }

    /// Takes no new sessions from now on, or takes them again.
    fn set_draining(&self, draining: bool) {
        self.shared.drained.store(draining, Ordering::Relaxed);
        let metrics = &self.shared.metrics;
        metrics.draining.set(i64::from(self.is_draining()));
    }

    fn analytics(&self) -> MutexGuard<'_, Analytics> {
        // Only counts are under the lock, so a poisoned one still holds what was counted.
        let analytics = &self.shared.analytics;
        analytics.lock().unwrap_or_else(PoisonError::into_inner)
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
    let routes = Routes::new();
    let routes = session_routes(routes, Protocol::Whip, "/whip/{channel}/{session}");
    let routes = session_routes(routes, Protocol::Whep, "/whep/{channel}/{session}");
    let routes = routes
        .get("/whip/{channel}", no_content)
        .post("/whip/{channel}", signalling::publish)
        .get("/whep/{channel}", takes_offers)
        .post("/whep/{channel}", signalling::watch)
        .post("/whep/{channel}/{session}/layer", layers::select)
        .delete("/whep/{channel}/{session}/layer", layers::release)
        .post("/whep/{channel}/{session}/events", session_events::create)
        .get(
            "/whep/{channel}/{session}/events/{stream}",
            session_events::follow,
        )
        .delete(
            "/whep/{channel}/{session}/events/{stream}",
            session_events::delete,
        )
        .get("/v1/channels", api::channels)
        .get("/v1/channels/{channel}", api::channel)
        .post("/v1/channels/{channel}/moments", moments::submit)
        .post("/v1/channels/{channel}/warm", api::warm)
        .post("/v1/channels/{channel}/cool", api::cool)
        .get("/v1/channels/{channel}/events", events::follow)
        .get("/v1/channels/{channel}/ws", socket::open)
        .get("/v1/channels/{channel}/pipeline", pipelines::status)
        .get("/v1/channels/{channel}/pipeline/params", pipelines::params)
        .patch("/v1/channels/{channel}/pipeline/params", pipelines::patch)
        .get(
            "/v1/channels/{channel}/pipeline/params/schema",
            pipelines::schema,
        )
        .get("/v1/channels/{channel}/products", products::products)
        .put("/v1/channels/{channel}/products", products::set_products)
        .get("/v1/channels/{channel}/blocklist", products::blocklist)
        .put("/v1/channels/{channel}/blocklist", products::set_blocklist)
        .get("/v1/channels/{channel}/bans", bans::bans)
        .delete("/v1/channels/{channel}/bans/{id}", bans::lift)
        .get("/v1/channels/{channel}/queue", queue::look)
        .post("/v1/channels/{channel}/queue/{act}", queue::act)
        .post("/v1/channels/{channel}/panic", queue::panic)
        .get("/v1/channels/{channel}/policy", settings::policy)
        .put("/v1/channels/{channel}/policy", settings::set_policy)
        .get("/v1/channels/{channel}/settings", settings::settings)
        .put("/v1/channels/{channel}/settings", settings::set_settings)
        .get("/v1/pipelines", pipelines::list)
        .post("/v1/twitch/eventsub", twitch::eventsub)
        .get("/v1/me/credits", twitch::credits)
        .get("/v1/me/moments", twitch::moments)
        .post("/v1/moments/{id}/intent", twitch::intent)
        .post("/v1/moments/{id}/receipt", twitch::receipt)
        .post("/v1/moments/{id}/credit", twitch::credit)
        .get("/v1/moments/{id}", moments::moment)
        .post("/v1/moments/{id}/{act}", moments::act)
        .get("/v1/admin/sessions", admin::sessions)
        .delete("/v1/admin/sessions/{id}", admin::end)
        .put("/v1/admin/drain", admin::drain)
        .get("/v1/admin/config", admin::config)
        .get("/v1/admin/analytics", admin::analytics);
    auth::routes(routes)
        .get("/", pages::index)
        .get("/bridge/{channel}", pages::bridge)
        .get("/watch/{channel}", pages::watch)
        .get("/mod/{channel}", pages::moderator)
        .get("/overlay/{channel}", pages::overlay)
        .get("/admin", pages::admin)
        .get("/account", pages::account)
        .get("/extension.zip", extension::packed)
        .get("/assets/{*path}", pages::asset)
        .get("/healthz", health::alive)
        .get("/readyz", health::ready)
        .get("/version", health::version)
        .get("/openapi.json", openapi::document)
        .finish()
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::Method)
        .layer(middleware::from_fn_with_state(app.clone(), gate::gate))
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
        .route("/metrics", axum::routing::get(health::metrics))
        .fallback(async || Problem::NoSuchPath)
        .with_state(app)
}

fn session_routes(routes: Routes, protocol: Protocol, path: &'static str) -> Routes {
    routes
        .get(path, no_content)
        .patch(
            path,
            move |State(app): State<App>,
                  PathOf(session): PathOf<SessionPath>,
                  headers: HeaderMap,
                  body: Body| { patch::patch(protocol, app, session, headers, body) },
        )
        .delete(
            path,
            move |State(app): State<App>,
                  PathOf(session): PathOf<SessionPath>,
                  headers: HeaderMap| async move {
                signalling::end(protocol, &app, &session, &headers)
            },
        )
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
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static("idempotency-key"),
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
        Method::PUT => "PUT",
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
