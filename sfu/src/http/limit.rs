//! Refuses requests that come too often: RFC 9725, section 5, for POST, PATCH and DELETE.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use reverie_config::{Http, Network};

use super::App;
use super::problem::Problem;
use super::rate::Rates;
use crate::auth::keys::hash;

/// Names the addresses that a request came by.
pub(super) const FORWARDED: &str = "x-forwarded-for";
/// Of an IPv6 address, what one household or host usually has for itself.
const IPV6_BITS: u8 = 64;

/// The address a connection came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// What was asked lately, by client and by session.
#[derive(Debug)]
pub(super) struct Limits {
    clients: Mutex<Rates<Network>>,
    sessions: Mutex<Rates<String>>,
    /// Attempts to sign in, by client and by account.
    logins: Mutex<Rates<Network>>,
    accounts: Mutex<Rates<String>>,
    /// Wishes for an account, by client.
    registrations: Mutex<Rates<Network>>,
}

/// What is tried to become somebody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt<'a> {
    /// To sign in to the account of this address.
    Login(&'a str),
    /// To make an account.
    Register,
}

/// How often one client may try to sign in, and how often somebody may try it with one account, whoever that is:
/// a password is not found by trying.
const LOGINS: (Duration, u32) = (Duration::from_secs(2), 20);
const ACCOUNT: (Duration, u32) = (Duration::from_secs(6), 10);
/// How often one client may make an account.
const REGISTRATIONS: (Duration, u32) = (Duration::from_secs(60), 5);

impl Limits {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            clients: Mutex::new(Rates::new(http.client_rate, http.client_burst)),
            sessions: Mutex::new(Rates::new(http.session_rate, http.session_burst)),
            logins: Mutex::new(Rates::every(LOGINS.0, LOGINS.1)),
            accounts: Mutex::new(Rates::every(ACCOUNT.0, ACCOUNT.1)),
            registrations: Mutex::new(Rates::every(REGISTRATIONS.0, REGISTRATIONS.1)),
        }
    }
}

/// Lets a request through or answers 429.
pub(super) async fn limit(
    State(app): State<App>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let changes =
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    let session = params.ok().and_then(session_of);
    match changes.then(|| check(&app, &request, session)) {
        Some(Err(wait)) => Problem::TooMany { wait }.into_response(),
        _ => next.run(request).await,
    }
}

fn session_of(params: RawPathParams) -> Option<String> {
    let found = params.iter().find(|(name, _)| *name == "session");
    found.map(|(_, id)| id.to_owned())
}

/// Counts an attempt, or refuses it. The addresses of `http.unlimited` are not counted, accounts always.
pub(super) fn attempt(
    app: &App,
    peer: Option<Peer>,
    headers: &HeaderMap,
    attempt: Attempt<'_>,
) -> Result<(), Problem> {
    let (limits, now) = (&app.limits, Instant::now());
    let client = peer.and_then(|peer| counted(app, peer, headers));
    let take = || {
        match (attempt, client) {
            (Attempt::Login(_), Some(client)) => lock(&limits.logins).take(now, client)?,
            (Attempt::Register, Some(client)) => lock(&limits.registrations).take(now, client)?,
            (_, None) => {}
        }
        match attempt {
            Attempt::Login(email) => {
                // Its hash: an address that somebody made up may be long.
                let account = hash(&email.trim().to_lowercase());
                lock(&limits.accounts).take(now, account)
            }
            Attempt::Register => Ok(()),
        }
    };
    take().map_err(|wait| Problem::TooMany { wait })
}

fn check(app: &App, request: &Request, session: Option<String>) -> Result<(), Duration> {
    let now = Instant::now();
    if let Some(peer) = request.extensions().get()
        && let Some(client) = counted(app, *peer, request.headers())
    {
        lock(&app.limits.clients).take(now, client)?;
    }
    // Ids that somebody made up are counted with the client only.
    match session.filter(|id| app.shared.sessions.contains(id)) {
        Some(session) => lock(&app.limits.sessions).take(now, session),
        None => Ok(()),
    }
}

/// Who is counted for a request; nobody where the address is among the unlimited ones.
fn counted(app: &App, Peer(peer): Peer, headers: &HeaderMap) -> Option<Network> {
    let http = &app.shared.config.http;
    let client = client(peer.ip(), headers, &http.trusted_proxies);
    let free = http.unlimited.iter().any(|n| n.contains(client));
    (!free).then(|| household(client))
}

/// The address that a request is from, as far as proxies of ours tell it.
pub(super) fn client_of(app: &App, Peer(peer): Peer, headers: &HeaderMap) -> IpAddr {
    client(peer.ip(), headers, &app.shared.config.http.trusted_proxies)
}

/// Whose request it is: the nearest address of `X-Forwarded-For` that is no proxy of ours.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let forwarded = headers.get_all(FORWARDED).iter();
    let hops: Vec<&str> = forwarded
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(address) = address(hop.trim()) else {
            break;
        };
        if !proxies.iter().any(|n| n.contains(client)) {
            break;
        }
        client = address;
    }
    client
}

/// Some proxies add the port.
fn address(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().map(|a| a.ip());
    hop.parse().or_else(|_| with_port()).ok()
}

fn household(client: IpAddr) -> Network {
    let bits = if client.to_canonical().is_ipv6() {
        IPV6_BITS
    } else {
        32
    };
    Network::of(client, bits)
}

fn lock<K>(rates: &Mutex<Rates<K>>) -> MutexGuard<'_, Rates<K>> {
    // At worst one request was not counted.
    rates.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies: Vec<Network> = proxies.iter().map(|n| n.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        let list = ["198.51.100.1, 203.0.113.9"];
        assert_eq!(seen("192.0.2.1", &list, &[]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &list, &["10.0.0.0/8"]), "203.0.113.9");
        let through_two = ["198.51.100.1, 203.0.113.9", "10.0.0.2:4711"];
        assert_eq!(
            seen("10.0.0.1", &through_two, &["10.0.0.0/8"]),
            "203.0.113.9"
        );
        assert_eq!(seen("10.0.0.1", &["unknown"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
