//! Every route with what it asks of whoever comes: the one table. A route that is not in it is not served.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{self, MethodRouter};

use super::App;

/// What a route asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Open,
    /// To see some channel.
    List,
    /// To see the channel of the path.
    Look,
    /// To ask for moments on the channel of the path, as a viewer of it.
    Submit,
    /// To moderate the channel of the path.
    Moderate,
    /// To be the streamer of the channel of the path.
    Own,
    /// To run the server.
    Admin,
    /// To be signed in.
    Person,
    /// To be another server.
    Node,
    /// What only the handler knows, in words: for a channel that stands in the body or behind an id.
    Asks(&'static str),
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its method; HEAD goes where GET goes.
    pub method: &'static str,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// What it asks.
    pub rule: Rule,
}

const PUBLISH: Rule =
    Rule::Asks("to publish on the channel, and for the session's URL what began it");
const WATCH: Rule = Rule::Asks("to watch the channel, and for the session's URL what began it");
const BY_URL: Rule =
    Rule::Asks("nothing but its unguessable URL, which players follow without headers");
const OF_MOMENT: Rule = Rule::Asks("to see the channel of the moment");
const MODERATE_MOMENT: Rule =
    Rule::Asks("to moderate the channel of the moment, or to be its viewer who cancels it");
const VIEWER_OF_MOMENT: Rule = Rule::Asks("to be the viewer of the moment, or to run the server");
const OWN: Rule =
    Rule::Asks("to be signed in, or to moderate the channel of the query for another viewer");
const CREDENTIALS: Rule = Rule::Asks("the credentials in the body or in a cookie");
const ROLES: Rule = Rule::Asks(
    "to be the streamer of the channel in the body for its moderators, an admin for the rest",
);
const SOCKET: Rule = Rule::Asks(
    "to see the channel, by the request or by the first message; a command what its own route asks",
);
const OWN_OF_BODY: Rule = Rule::Asks("to be the streamer of the channel in the body");

/// All routes, but `/metrics`, which has a listener and a token of its own.
pub const ROUTES: &[Route] = &[
    of("GET", "/whip/{channel}", Rule::Open),
    of("POST", "/whip/{channel}", PUBLISH),
    of("GET", "/whip/{channel}/{session}", Rule::Open),
    of("PATCH", "/whip/{channel}/{session}", PUBLISH),
    of("DELETE", "/whip/{channel}/{session}", PUBLISH),
    of("GET", "/whep/{channel}", Rule::Open),
    of("POST", "/whep/{channel}", WATCH),
    of("GET", "/whep/{channel}/{session}", Rule::Open),
    of("PATCH", "/whep/{channel}/{session}", WATCH),
    of("DELETE", "/whep/{channel}/{session}", WATCH),
    of("POST", "/whep/{channel}/{session}/layer", WATCH),
    of("DELETE", "/whep/{channel}/{session}/layer", WATCH),
    of("POST", "/whep/{channel}/{session}/events", WATCH),
    of("GET", "/whep/{channel}/{session}/events/{stream}", BY_URL),
    of(
        "DELETE",
        "/whep/{channel}/{session}/events/{stream}",
        BY_URL,
    ),
    of("GET", "/v1/channels", Rule::List),
    of("GET", "/v1/channels/{channel}", Rule::Look),
    of("POST", "/v1/channels/{channel}/moments", Rule::Submit),
    of("POST", "/v1/channels/{channel}/warm", Rule::Own),
    of("POST", "/v1/channels/{channel}/cool", Rule::Own),
    of("GET", "/v1/channels/{channel}/events", Rule::Look),
    of("GET", "/v1/channels/{channel}/ws", SOCKET),
    of("GET", "/v1/channels/{channel}/pipeline", Rule::Look),
    of("GET", "/v1/channels/{channel}/pipeline/params", Rule::Look),
    of("PATCH", "/v1/channels/{channel}/pipeline/params", Rule::Own),
    of(
        "GET",
        "/v1/channels/{channel}/pipeline/params/schema",
        Rule::Look,
    ),
    of("GET", "/v1/channels/{channel}/products", Rule::Look),
    of("PUT", "/v1/channels/{channel}/products", Rule::Own),
    of("GET", "/v1/channels/{channel}/blocklist", Rule::Moderate),
    of("PUT", "/v1/channels/{channel}/blocklist", Rule::Moderate),
    of("GET", "/v1/channels/{channel}/bans", Rule::Moderate),
    of("DELETE", "/v1/channels/{channel}/bans/{id}", Rule::Moderate),
    of("GET", "/v1/pipelines", Rule::List),
    of("GET", "/v1/channels/{channel}/queue", Rule::Look),
    of("POST", "/v1/channels/{channel}/queue/{act}", Rule::Moderate),
    of("POST", "/v1/channels/{channel}/panic", Rule::Moderate),
    of("GET", "/v1/channels/{channel}/policy", Rule::Look),
    of("PUT", "/v1/channels/{channel}/policy", Rule::Own),
    of("GET", "/v1/channels/{channel}/settings", Rule::Look),
    of("PUT", "/v1/channels/{channel}/settings", Rule::Own),
    of("GET", "/v1/moments/{id}", OF_MOMENT),
    of("POST", "/v1/moments/{id}/{act}", MODERATE_MOMENT),
    of("POST", "/v1/moments/{id}/intent", VIEWER_OF_MOMENT),
    of(
        "POST",
        "/v1/moments/{id}/receipt",
        Rule::Asks("the intent in the body, and a receipt that Twitch signed"),
    ),
    of("POST", "/v1/moments/{id}/credit", VIEWER_OF_MOMENT),
    of("GET", "/v1/me/credits", OWN),
    of("GET", "/v1/me/moments", OWN),
    of(
        "POST",
        "/v1/twitch/eventsub",
        Rule::Asks("the signature of Twitch"),
    ),
    of("GET", "/v1/auth", Rule::Open),
    of("POST", "/v1/auth/twitch-ext", CREDENTIALS),
    of("POST", "/v1/auth/register", CREDENTIALS),
    of("POST", "/v1/auth/login", CREDENTIALS),
    of("POST", "/v1/auth/refresh", CREDENTIALS),
    of("POST", "/v1/auth/logout", CREDENTIALS),
    of(
        "GET",
        "/v1/auth/twitch/start",
        Rule::Asks("to be the streamer of the channel in the query, if one is there"),
    ),
    of("GET", "/v1/auth/twitch/callback", CREDENTIALS),
    of("GET", "/v1/me", Rule::Person),
    of("POST", "/v1/roles", ROLES),
    of("DELETE", "/v1/roles", ROLES),
    of("POST", "/v1/tokens", OWN_OF_BODY),
    of("DELETE", "/v1/tokens/{id}", Rule::Person),
    of("GET", "/v1/admin/sessions", Rule::Admin),
    of("DELETE", "/v1/admin/sessions/{id}", Rule::Admin),
    of("PUT", "/v1/admin/drain", Rule::Admin),
    of("GET", "/v1/admin/config", Rule::Admin),
    of("GET", "/v1/admin/analytics", Rule::Admin),
    of("GET", "/", Rule::Open),
    of("GET", "/bridge/{channel}", Rule::Open),
    of("GET", "/watch/{channel}", Rule::Open),
    of("GET", "/mod/{channel}", Rule::Open),
    of("GET", "/overlay/{channel}", Rule::Open),
    of("GET", "/admin", Rule::Open),
    of("GET", "/account", Rule::Open),
    of("GET", "/extension.zip", Rule::Open),
    of("GET", "/assets/{*path}", Rule::Open),
    of("GET", "/healthz", Rule::Open),
    of("GET", "/readyz", Rule::Open),
    of("GET", "/version", Rule::Open),
    of("GET", "/openapi.json", Rule::Open),
];

const fn of(method: &'static str, path: &'static str, rule: Rule) -> Route {
    Route { method, path, rule }
}

impl Rule {
    /// What it asks, in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Open => "nothing".into(),
            Self::List => "to see some channel".into(),
            Self::Look => "to see the channel".into(),
            Self::Submit => "to be a viewer of the channel".into(),
            Self::Moderate => "to moderate the channel".into(),
            Self::Own => "to be the streamer of the channel".into(),
            Self::Admin => "to run the server".into(),
            Self::Person => "to be signed in".into(),
            Self::Node => "to be another server".into(),
            Self::Asks(what) => what.into(),
        }
    }
}

/// What a route asks; `None` where there is none.
pub(super) fn rule(method: &Method, path: &str) -> Option<Rule> {
    let method = match *method {
        Method::HEAD => "GET",
        ref other => other.as_str(),
    };
    let found = ROUTES.iter().find(|r| r.method == method && r.path == path);
    found.map(|route| route.rule)
}

/// A router that takes what is in the table and nothing else.
pub(super) struct Routes {
    router: Router<App>,
    served: Vec<(&'static str, &'static str)>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            served: Vec::new(),
        }
    }

    pub(super) fn get<T: 'static>(self, path: &'static str, handler: impl Handler<T, App>) -> Self {
        self.on("GET", path, routing::get(handler))
    }

    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, App>,
    ) -> Self {
        self.on("POST", path, routing::post(handler))
    }

    pub(super) fn put<T: 'static>(self, path: &'static str, handler: impl Handler<T, App>) -> Self {
        self.on("PUT", path, routing::put(handler))
    }

    pub(super) fn patch<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, App>,
    ) -> Self {
        self.on("PATCH", path, routing::patch(handler))
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, App>,
    ) -> Self {
        self.on("DELETE", path, routing::delete(handler))
    }

    /// Panics if the table does not have it: at the start, and so in every test.
    fn on(mut self, method: &'static str, path: &'static str, handler: MethodRouter<App>) -> Self {
        let known = ROUTES.iter().any(|r| r.method == method && r.path == path);
        assert!(known, "{method} {path} has no rule in routes.rs");
        self.served.push((method, path));
        self.router = self.router.route(path, handler);
        self
    }

    /// A router of some routes of the table, for those who come by another way.
    pub(super) fn some(self) -> Router<App> {
        self.router
    }

    /// The router.
    ///
    /// # Panics
    ///
    /// If the table has a route that is not served.
    pub(super) fn finish(self) -> Router<App> {
        for Route { method, path, .. } in ROUTES {
            let served = self.served.contains(&(method, path));
            assert!(
                served,
                "{method} {path} has a rule in routes.rs and is not served"
            );
        }
        self.router
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_stands_in_the_table_once() {
        for (at, route) in ROUTES.iter().enumerate() {
            let again = ROUTES[at + 1..]
                .iter()
                .any(|r| (r.method, r.path) == (route.method, route.path));
            assert!(!again, "{route:?}");
        }
    }

    #[test]
    fn what_is_asked_of_a_channel_has_one_in_its_path() {
        for route in ROUTES {
            let of_channel = matches!(
                route.rule,
                Rule::Look | Rule::Submit | Rule::Moderate | Rule::Own
            );
            assert!(!of_channel || route.path.contains("{channel}"), "{route:?}");
        }
    }

    #[test]
    fn what_changes_something_under_v1_is_open_to_nobody() {
        for route in ROUTES.iter().filter(|r| r.method != "GET") {
            assert_ne!(route.rule, Rule::Open, "{route:?}");
        }
    }

    #[test]
    #[should_panic(expected = "GET /v1/secret has no rule")]
    fn a_route_without_a_rule_is_not_served() {
        let _ = Routes::new().get("/v1/secret", async || "");
    }

    #[test]
    fn head_asks_what_get_asks_and_other_methods_nothing() {
        let path = "/v1/channels";
        assert_eq!(rule(&Method::HEAD, path), Some(Rule::List));
        assert_eq!(rule(&Method::PUT, path), None);
        assert_eq!(rule(&Method::GET, "/v1/nothing"), None);
    }
}
