//! What the stand-in knows: people, tokens, what was said, what was paid, and what is to go wrong.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Setup;

/// The application's client id.
pub const CLIENT_ID: &str = "simclient";
/// Its secret, and the extension's.
pub const CLIENT_SECRET: &str = "simulated-client-secret";
/// The extension's client id.
pub const EXTENSION_ID: &str = "simextension";
/// The extension's shared secret.
pub const EXTENSION_SECRET: &str = "c2ltdWxhdGVkIHNlY3JldCBvZiB0aGUgZXh0ZW5zaW9uLiE=";
/// The one before it, which is still good.
pub const EXTENSION_SECRET_OLD: &str = "dGhlIHNlY3JldCB0aGF0IGlzIGdvaW5nIHRvIGJlIG9sZC4u";
/// What notifications are signed with, once a server asks for them with it.
pub const EVENTSUB_SECRET: &str = "simulated-eventsub-secret";
/// The user id of the extension's owner.
pub const OWNER: &str = "900";
/// The user id of the bot.
pub const BOT: &str = "800";
/// The user id of the streamer.
pub const STREAMER: &str = "42";
/// The user id of a viewer, who is called Ann.
pub const VIEWER: &str = "7";

/// How long tokens last.
const LIFE: Duration = Duration::from_secs(4 * 3600);

/// Somebody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Their number.
    pub id: String,
    /// Their name in addresses.
    pub login: String,
    /// Their name for people.
    pub display_name: String,
}

/// What a token is for.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) client_id: String,
    /// None for an application's own.
    pub(super) user: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) end: Instant,
}

/// What somebody came back with from signing in.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    /// S256 of the verifier, where one was promised.
    pub(super) challenge: Option<String>,
}

/// A line in a chat.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Whose chat.
    pub broadcaster_id: String,
    /// Who wrote it.
    pub sender_id: String,
    /// What it says.
    pub message: String,
}

/// A message to the pages of a channel's extension.
#[derive(Debug, Clone, Serialize)]
pub struct Poke {
    /// Whose channel.
    pub broadcaster_id: String,
    /// What it says.
    pub message: String,
    /// When, since the stand-in began, in milliseconds.
    pub at_ms: u64,
}

/// A payment by Bits.
#[derive(Debug, Clone, Serialize)]
pub struct Transaction {
    /// Its id.
    pub id: String,
    /// When, as in RFC 3339.
    pub timestamp: String,
    /// In whose channel.
    pub broadcaster_id: String,
    /// Who paid.
    pub user_id: String,
    /// What for.
    pub sku: String,
    /// How much.
    pub bits: i64,
    /// Whether it was only tried out.
    pub in_development: bool,
}

/// Somebody who wants notifications.
#[derive(Debug, Clone, Serialize)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Of what.
    pub r#type: String,
    /// Of which extension, and so on.
    pub condition: Value,
    /// Where to.
    pub callback: String,
    /// `enabled` once the challenge was answered.
    pub status: String,
    #[serde(skip)]
    pub(super) secret: String,
}

/// What goes wrong with the next calls of a route.
#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    /// How many calls.
    #[serde(default = "one")]
    pub times: u32,
    /// What is answered instead; 0 for what would be answered anyway.
    #[serde(default)]
    pub status: u16,
    /// How late it is answered.
    #[serde(default)]
    pub delay_ms: u64,
    /// Whether the call is carried out first, and only its answer is late or this one.
    #[serde(default)]
    pub after: bool,
}

/// So many calls in a window.
#[derive(Debug)]
struct Limit {
    calls: u32,
    window: Duration,
    used: u32,
    since: Instant,
}

/// How a call fares against its limit, for the headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Unix seconds.
    pub(super) reset: u64,
    pub(super) exceeded: bool,
}

/// Everything behind one lock.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) users: BTreeMap<String, User>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) refreshes: HashMap<String, Token>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) chat: Vec<Line>,
    pub(super) pokes: Vec<Poke>,
    /// Oldest first.
    pub(super) transactions: Vec<Transaction>,
    pub(super) subscriptions: Vec<Subscription>,
    faults: HashMap<String, VecDeque<Fault>>,
    limits: HashMap<String, Limit>,
    calls: HashMap<String, usize>,
    /// How long the tokens last that are given out from now on.
    pub(super) life: Duration,
    serial: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    pub(super) setup: Setup,
    pub(super) address: SocketAddr,
    pub(super) panel: SocketAddr,
    pub(super) began: Instant,
    world: Mutex<World>,
}

impl State {
    pub(super) fn new(setup: Setup, address: SocketAddr, panel: SocketAddr) -> Self {
        let mut world = World {
            life: LIFE,
            ..World::default()
        };
        for (id, name) in [
            (STREAMER, "Streamer"),
            (VIEWER, "Ann"),
            ("8", "Bob"),
            ("9", "Cleo"),
            (BOT, "ReverieBot"),
            (OWNER, "Owner"),
        ] {
            world.add_user(id, name);
        }
        // What Twitch allows: 800 points a minute, one message a second in a chat, 100 pokes a minute for a channel.
        world.set_limit("users", 800, 60);
        world.set_limit("chat/messages", 20, 30);
        world.set_limit("extensions/pubsub", 100, 60);
        world.set_limit("extensions/transactions", 800, 60);
        Self {
            setup,
            address,
            panel,
            began: Instant::now(),
            world: Mutex::new(world),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn panel_url(&self) -> String {
        format!("http://localhost:{}", self.panel.port())
    }
}

impl World {
    pub(super) fn add_user(&mut self, id: &str, name: &str) {
        let user = User {
            id: id.to_owned(),
            login: name.to_lowercase(),
            display_name: name.to_owned(),
        };
        self.users.insert(id.to_owned(), user);
    }

    /// A name that nobody has.
    pub(super) fn name(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{:06}-{:x}", self.serial, now().as_nanos())
    }

    pub(super) fn add_fault(&mut self, route: &str, fault: Fault) {
        self.faults
            .entry(route.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// The fault of this call, if it has one.
    pub(super) fn take_fault(&mut self, route: &str) -> Option<Fault> {
        let faults = self.faults.get_mut(route)?;
        let fault = faults.front_mut()?;
        fault.times = fault.times.saturating_sub(1);
        let taken = fault.clone();
        if taken.times == 0 {
            faults.pop_front();
        }
        Some(taken)
    }

    pub(super) fn set_limit(&mut self, route: &str, calls: u32, window_s: u64) {
        let limit = Limit {
            calls,
            window: Duration::from_secs(window_s),
            used: 0,
            since: Instant::now(),
        };
        self.limits.insert(route.to_owned(), limit);
    }

    /// Counts a call.
    pub(super) fn count(&mut self, route: &str) -> Option<Rate> {
        *self.calls.entry(route.to_owned()).or_default() += 1;
        let limit = self.limits.get_mut(route)?;
        if limit.since.elapsed() >= limit.window {
            (limit.used, limit.since) = (0, Instant::now());
        }
        let exceeded = limit.used >= limit.calls;
        limit.used += u32::from(!exceeded);
        let left = limit.window.saturating_sub(limit.since.elapsed());
        let reset = now() + left;
        Some(Rate {
            limit: limit.calls,
            remaining: limit.calls - limit.used,
            reset: reset.as_secs() + u64::from(reset.subsec_nanos() > 0),
            exceeded,
        })
    }

    pub(super) fn calls(&self, route: &str) -> usize {
        self.calls.get(route).copied().unwrap_or(0)
    }
}

/// Since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn one() -> u32 {
    1
}
