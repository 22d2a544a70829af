//! What each operation is for, takes and gives.

use super::super::routes::Route;

/// In which form a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON of the schema of this name; of any form for the empty name.
    Json(&'static str),
    /// A JSON merge patch (RFC 7396) of parameters, whose schema has a route of its own.
    Patch,
    /// An SDP offer or answer.
    Sdp,
    /// A trickle ICE fragment (RFC 8840).
    Fragment,
    /// Server-sent events.
    Events,
    /// A page.
    Html,
    /// Something else, by its media type.
    Other(&'static str),
}

impl Form {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json("Problem") => "application/problem+json",
            Self::Json(_) => "application/json",
            Self::Patch => "application/merge-patch+json",
            Self::Sdp => "application/sdp",
            Self::Fragment => "application/trickle-ice-sdpfrag",
            Self::Events => "text/event-stream",
            Self::Html => "text/html",
            Self::Other(name) => name,
        }
    }
}

/// An operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Described {
    method: &'static str,
    path: &'static str,
    pub(super) tag: &'static str,
    pub(super) about: &'static str,
    pub(super) takes: Option<Form>,
    /// Whether the body may be left out.
    pub(super) may_be_empty: bool,
    /// Of the answer when it went well.
    pub(super) status: u16,
    pub(super) gives: Option<Form>,
}

impl Described {
    const fn takes(self, form: Form) -> Self {
        Self {
            takes: Some(form),
            ..self
        }
    }

    const fn may_take(self, form: Form) -> Self {
        Self {
            takes: Some(form),
            may_be_empty: true,
            ..self
        }
    }

    const fn gives(self, status: u16, form: Form) -> Self {
        Self {
            status,
            gives: Some(form),
            ..self
        }
    }

    /// An answer without a body.
    const fn answers(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

const fn op(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    about: &'static str,
) -> Described {
    Described {
        method,
        path,
        tag,
        about,
        takes: None,
        may_be_empty: false,
        status: 204,
        gives: None,
    }
}

/// The operation of a route.
pub(super) fn described(route: &Route) -> Option<&'static Described> {
    let wanted = (route.method, route.path);
    ALL.iter().find(|one| (one.method, one.path) == wanted)
}

/// Method and path of all that is described.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|one| (one.method, one.path))
}

const ANY: Form = Form::Json("");
const WHIP: &str = "/whip/{channel}";
const WHIP_SESSION: &str = "/whip/{channel}/{session}";
const WHEP: &str = "/whep/{channel}";
const WHEP_SESSION: &str = "/whep/{channel}/{session}";

/// In the order of the table of routes.
const ALL: &[Described] = &[
    op("GET", WHIP, "WHIP", "Nothing: the endpoint is there"),
    op("POST", WHIP, "WHIP", "Publishes (RFC 9725)")
        .takes(Form::Sdp)
        .gives(201, Form::Sdp),
    op(
        "GET",
        WHIP_SESSION,
        "WHIP",
        "Nothing: RFC 9725, section 4.1",
    ),
    op(
        "PATCH",
        WHIP_SESSION,
        "WHIP",
        "Adds candidates, or restarts ICE",
    )
    .takes(Form::Fragment),
    op("DELETE", WHIP_SESSION, "WHIP", "Ends the session").answers(200),
    op("GET", WHEP, "WHEP", "Nothing: the endpoint is there").answers(200),
    op("POST", WHEP, "WHEP", "Watches")
        .takes(Form::Sdp)
        .gives(201, Form::Sdp),
    op("GET", WHEP_SESSION, "WHEP", "Nothing: the session is there"),
    op(
        "PATCH",
        WHEP_SESSION,
        "WHEP",
        "Adds candidates, or restarts ICE",
    )
    .takes(Form::Fragment),
    op("DELETE", WHEP_SESSION, "WHEP", "Ends the session").answers(200),
    op(
        "POST",
        "/whep/{channel}/{session}/layer",
        "WHEP",
        "Fixes the layer of a simulcast picture",
    )
    .takes(ANY)
    .answers(200),
    op(
        "DELETE",
        "/whep/{channel}/{session}/layer",
        "WHEP",
        "Lets the server choose the layer again",
    )
    .answers(200),
    op(
        "POST",
        "/whep/{channel}/{session}/events",
        "WHEP",
        "Opens an event stream of the session",
    )
    .may_take(ANY)
    .answers(201),
    op(
        "GET",
        "/whep/{channel}/{session}/events/{stream}",
        "WHEP",
        "Follows it",
    )
    .gives(200, Form::Events),
    op(
        "DELETE",
        "/whep/{channel}/{session}/events/{stream}",
        "WHEP",
        "Closes it",
    )
    .answers(200),
    op(
        "GET",
        "/v1/channels",
        "Channels",
        "All channels that the caller may see",
    )
    .gives(200, Form::Json("Channels")),
    op("GET", "/v1/channels/{channel}", "Channels", "One channel")
        .gives(200, Form::Json("Channel")),
    op(
        "POST",
        "/v1/channels/{channel}/moments",
        "Moments",
        "Asks for a moment",
    )
    .takes(Form::Json("NewMoment"))
    .gives(201, Form::Json("Moment")),
    op(
        "POST",
        "/v1/channels/{channel}/warm",
        "Pipelines",
        "Loads a pipeline ahead",
    )
    .may_take(Form::Json("WarmUp"))
    .gives(202, ANY),
    op(
        "POST",
        "/v1/channels/{channel}/cool",
        "Pipelines",
        "Unloads the pipeline once nothing needs it",
    )
    .gives(202, ANY),
    op(
        "GET",
        "/v1/channels/{channel}/events",
        "Channels",
        "Follows what happens on the channel",
    )
    .gives(200, Form::Events),
    op(
        "GET",
        "/v1/channels/{channel}/ws",
        "Channels",
        "Follows and steers the channel over a WebSocket (RFC 6455)",
    )
    .answers(101),
    op(
        "GET",
        "/v1/channels/{channel}/pipeline",
        "Pipelines",
        "How the channel's pipeline fares",
    )
    .gives(200, Form::Json("PipelineStatus")),
    op(
        "GET",
        "/v1/channels/{channel}/pipeline/params",
        "Pipelines",
        "Its parameters",
    )
    .gives(200, ANY),
    op(
        "PATCH",
        "/v1/channels/{channel}/pipeline/params",
        "Pipelines",
        "Changes its parameters",
    )
    .takes(Form::Patch)
    .gives(200, ANY),
    op(
        "GET",
        "/v1/channels/{channel}/pipeline/params/schema",
        "Pipelines",
        "The JSON Schema of its parameters",
    )
    .gives(200, Form::Other("application/schema+json")),
    op(
        "GET",
        "/v1/channels/{channel}/products",
        "Products",
        "What viewers can ask for",
    )
    .gives(200, ANY),
    op(
        "PUT",
        "/v1/channels/{channel}/products",
        "Products",
        "Sets it",
    )
    .takes(Form::Json("Products"))
    .gives(200, ANY),
    op(
        "GET",
        "/v1/channels/{channel}/blocklist",
        "Products",
        "Words that prompts may not have",
    )
    .gives(200, ANY),
    op(
        "PUT",
        "/v1/channels/{channel}/blocklist",
        "Products",
        "Sets them",
    )
    .takes(Form::Json("Blocklist"))
    .gives(200, ANY),
    op(
        "GET",
        "/v1/channels/{channel}/bans",
        "Moments",
        "Viewers of whom nothing is taken, by the moments that were the occasion",
    )
    .gives(200, Form::Json("Bans")),
    op(
        "DELETE",
        "/v1/channels/{channel}/bans/{id}",
        "Moments",
        "Takes moments of that viewer again",
    )
    .answers(204),
    op(
        "GET",
        "/v1/pipelines",
        "Pipelines",
        "What there is, what it needs, and whether it can run here",
    )
    .gives(200, Form::Json("Pipelines")),
    op(
        "GET",
        "/v1/channels/{channel}/queue",
        "Queue",
        "What is live, waits and is in review",
    )
    .gives(200, Form::Json("Queue")),
    op(
        "POST",
        "/v1/channels/{channel}/queue/{act}",
        "Queue",
        "`pause`, `resume` or `clear`",
    )
    .gives(200, Form::Json("Queue")),
    op(
        "POST",
        "/v1/channels/{channel}/panic",
        "Queue",
        "Hides what is live and pauses the queue",
    )
    .gives(200, Form::Json("Queue")),
    op(
        "GET",
        "/v1/channels/{channel}/policy",
        "Settings",
        "What becomes of what viewers ask for",
    )
    .gives(200, Form::Json("Policy")),
    op(
        "PUT",
        "/v1/channels/{channel}/policy",
        "Settings",
        "Sets it",
    )
    .takes(Form::Json("Policy"))
    .gives(200, Form::Json("Policy")),
    op(
        "GET",
        "/v1/channels/{channel}/settings",
        "Settings",
        "Who starts moments",
    )
    .gives(200, Form::Json("Settings")),
    op(
        "PUT",
        "/v1/channels/{channel}/settings",
        "Settings",
        "Sets it",
    )
    .takes(Form::Json("Settings"))
    .gives(200, Form::Json("Settings")),
    op("GET", "/v1/moments/{id}", "Moments", "One moment").gives(200, Form::Json("Moment")),
    op(
        "POST",
        "/v1/moments/{id}/{act}",
        "Moments",
        "`approve`, `reject`, `cancel`, `start`, `stop`, `requeue`, `move` or `ban`",
    )
    .may_take(Form::Json("MomentAct"))
    .gives(200, Form::Json("Moment")),
    op(
        "POST",
        "/v1/moments/{id}/intent",
        "Payment",
        "Binds a payment by Bits to the moment",
    )
    .gives(200, ANY),
    op(
        "POST",
        "/v1/moments/{id}/receipt",
        "Payment",
        "Pays it with a receipt of Twitch",
    )
    .takes(Form::Json("Payment"))
    .gives(200, ANY),
    op(
        "POST",
        "/v1/moments/{id}/credit",
        "Payment",
        "Pays it with credits",
    )
    .gives(200, ANY),
    op(
        "GET",
        "/v1/me/credits",
        "People",
        "One's credits on a channel",
    )
    .gives(200, ANY),
    op("GET", "/v1/me/moments", "People", "One's own moments").gives(200, ANY),
    op(
        "POST",
        "/v1/twitch/eventsub",
        "Twitch",
        "Takes a notification of EventSub",
    )
    .takes(ANY),
    op("GET", "/v1/auth", "People", "How one can sign in here").gives(200, ANY),
    op(
        "POST",
        "/v1/auth/twitch-ext",
        "People",
        "A session for the token of the extension",
    )
    .takes(Form::Json("ExtensionToken"))
    .gives(200, ANY),
    op("POST", "/v1/auth/register", "People", "Makes an account")
        .takes(Form::Json("Credentials"))
        .gives(201, ANY),
    op("POST", "/v1/auth/login", "People", "Signs in")
        .takes(Form::Json("Credentials"))
        .gives(200, ANY),
    op(
        "POST",
        "/v1/auth/refresh",
        "People",
        "The next token of a session",
    )
    .may_take(Form::Json("Refresh"))
    .gives(200, ANY),
    op("POST", "/v1/auth/logout", "People", "Ends the session").may_take(Form::Json("Refresh")),
    op(
        "GET",
        "/v1/auth/twitch/start",
        "Twitch",
        "Leads to the log-in of Twitch",
    )
    .answers(303),
    op(
        "GET",
        "/v1/auth/twitch/callback",
        "Twitch",
        "Comes back from it",
    )
    .answers(303),
    op("GET", "/v1/me", "People", "Who one is, and what one may").gives(200, ANY),
    op("POST", "/v1/roles", "People", "Gives a role").takes(Form::Json("RoleChange")),
    op("DELETE", "/v1/roles", "People", "Takes a role back").takes(Form::Json("RoleChange")),
    op("POST", "/v1/tokens", "People", "Makes a link or an API key")
        .takes(Form::Json("NewToken"))
        .gives(201, ANY),
    op("DELETE", "/v1/tokens/{id}", "People", "Takes it back"),
    op(
        "GET",
        "/v1/admin/sessions",
        "Server",
        "Who publishes and watches",
    )
    .gives(200, ANY),
    op(
        "DELETE",
        "/v1/admin/sessions/{id}",
        "Server",
        "Ends a session",
    ),
    op(
        "PUT",
        "/v1/admin/drain",
        "Server",
        "Takes no new sessions, or takes them again",
    )
    .takes(Form::Json("Drain"))
    .gives(200, Form::Json("Drain")),
    op(
        "GET",
        "/v1/admin/config",
        "Server",
        "The configuration in force, without its secrets",
    )
    .gives(200, Form::Other("application/toml")),
    op(
        "GET",
        "/v1/admin/analytics",
        "Server",
        "How much it is used, by day",
    )
    .gives(200, ANY),
    op("GET", "/", "Pages", "Where to begin").gives(200, Form::Html),
    op(
        "GET",
        "/bridge/{channel}",
        "Pages",
        "Publishing from a browser",
    )
    .gives(200, Form::Html),
    op("GET", "/watch/{channel}", "Pages", "Watching").gives(200, Form::Html),
    op("GET", "/mod/{channel}", "Pages", "Moderating").gives(200, Form::Html),
    op(
        "GET",
        "/overlay/{channel}",
        "Pages",
        "The picture with what it shows, for a scene",
    )
    .gives(200, Form::Html),
    op("GET", "/admin", "Pages", "Running the server").gives(200, Form::Html),
    op(
        "GET",
        "/account",
        "Pages",
        "Signing in, and links for programs",
    )
    .gives(200, Form::Html),
    op(
        "GET",
        "/extension.zip",
        "Pages",
        "The panel to upload to Twitch",
    )
    .gives(200, Form::Other("application/zip")),
    op(
        "GET",
        "/assets/{*path}",
        "Pages",
        "What the pages are made of",
    )
    .gives(200, Form::Other("application/octet-stream")),
    op("GET", "/healthz", "Probes", "The process runs").gives(200, ANY),
    op("GET", "/readyz", "Probes", "New sessions are welcome").gives(200, ANY),
    op("GET", "/version", "Probes", "What runs").gives(200, ANY),
    op("GET", "/openapi.json", "Probes", "This document").gives(200, ANY),
];
