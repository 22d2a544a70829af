//! Every route of the table, asked by everybody: the wrong role and the wrong channel are refused on each.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_sfu::{ROUTES, Route, Rule};
use serde_json::json;

use super::{CONTROL, People, claims, signed, text};

/// Who asks, on channel `a`; those named `b` are somebody on another one only.
const ASKERS: [&str; 13] = [
    "nobody",
    "viewer a",
    "mod a",
    "streamer a",
    "admin",
    "node",
    "viewer b",
    "mod b",
    "streamer b",
    "viewer of nothing",
    "publisher a",
    "watcher a",
    "control",
];

/// Who may, by what the route asks: written down here once more, by hand.
fn may(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::Open | Rule::Asks(_) => &ASKERS,
        Rule::List => &[
            "viewer a",
            "mod a",
            "streamer a",
            "admin",
            "viewer b",
            "mod b",
            "streamer b",
            "publisher a",
            "watcher a",
        ],
        Rule::Look => &[
            "viewer a",
            "mod a",
            "streamer a",
            "admin",
            "publisher a",
            "watcher a",
        ],
        Rule::Submit => &["viewer a", "mod a", "streamer a", "admin", "control"],
        Rule::Moderate => &["mod a", "streamer a", "admin", "control"],
        Rule::Own => &["streamer a", "admin", "control"],
        Rule::Admin => &["admin", "control"],
        Rule::Person => &[
            "viewer a",
            "mod a",
            "streamer a",
            "admin",
            "viewer b",
            "mod b",
            "streamer b",
            "viewer of nothing",
        ],
        Rule::Node => &["node"],
    }
}

/// Who may, where only the handler knows of what channel; `None` for what asks for no bearer token.
fn handlers(route: &Route) -> Option<&'static [&'static str]> {
    match (route.method, route.path) {
        (_, path) if path.starts_with("/whip/") => Some(&["streamer a", "admin", "publisher a"]),
        // Whoever has its unguessable URL was given it: players follow it without headers.
        (_, path) if path.ends_with("/events/{stream}") => None,
        (_, path) if path.starts_with("/whep/") => {
            Some(&["viewer a", "mod a", "streamer a", "admin", "watcher a"])
        }
        // What is behind an id is asked of whoever could see or change something; the test of moments does the rest.
        ("GET", "/v1/moments/{id}") => Some(may(Rule::List)),
        // By the request; the first message is asked by the test of sockets.
        (_, path) if path.ends_with("/ws") => Some(may(Rule::Look)),
        (_, "/v1/moments/{id}/receipt" | "/v1/twitch/eventsub") => None,
        (_, "/v1/me/credits" | "/v1/me/moments") => Some(may(Rule::Person)),
        ("POST", path) if path.starts_with("/v1/moments/") => Some(&[
            "viewer a",
            "mod a",
            "streamer a",
            "admin",
            "viewer b",
            "mod b",
            "streamer b",
            "viewer of nothing",
            "control",
        ]),
        ("POST", "/v1/tokens") => Some(&["streamer a", "admin", "control"]),
        (_, "/v1/roles") => Some(&["streamer a", "admin", "control"]),
        (_, path) if path.starts_with("/v1/auth/") => None,
        _ => panic!("{route:?} asks something that this test does not know"),
    }
}

async fn tokens(people: &People) -> Result<BTreeMap<&'static str, String>> {
    let (a, b) = (Some("a"), Some("b"));
    let wanted = [
        ("viewer a", claims("viewer", a)),
        ("mod a", claims("mod", a)),
        ("streamer a", claims("streamer", a)),
        ("admin", claims("admin", None)),
        ("node", claims("node", None)),
        ("viewer b", claims("viewer", b)),
        ("mod b", claims("mod", b)),
        ("streamer b", claims("streamer", b)),
        ("viewer of nothing", claims("viewer", None)),
    ];
    let all = signed(&wanted.clone().map(|(_, claims)| claims)).await?;
    let mut tokens: BTreeMap<_, _> = wanted.map(|(name, _)| name).into_iter().zip(all).collect();
    for (name, kind) in [("publisher a", "publish"), ("watcher a", "watch")] {
        let body = json!({ "kind": kind, "channel": "a" });
        let made = people
            .post("/v1/tokens", &tokens["streamer a"], &body)
            .await?;
        tokens.insert(name, text(&made, "token")?);
    }
    tokens.insert("nobody", String::new());
    tokens.insert("control", CONTROL.to_owned());
    Ok(tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_the_wrong_role_and_the_wrong_channel() -> Result<()> {
    let people = People::start().await?;
    let tokens = tokens(&people).await?;
    ensure!(tokens.len() == ASKERS.len(), "{tokens:?}");
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.rule != Rule::Open) {
        let allowed = match route.rule {
            Rule::Asks(_) => handlers(route),
            rule => Some(may(rule)),
        };
        let Some(allowed) = allowed else { continue };
        let path = route
            .path
            .replace("{channel}", "a")
            .replace("/{id}/{act}", "/{id}/approve")
            .replace("{act}", "pause")
            .replace("{id}", "none")
            .replace("{session}", "none")
            .replace("{stream}", "none");
        let method = Method::from_bytes(route.method.as_bytes())?;
        let body = match route.path {
            "/v1/roles" => json!({ "email": "ann@example.org", "role": "mod", "channel": "a" }),
            "/v1/tokens" => json!({ "kind": "watch", "channel": "a" }),
            _ => json!({ "prompt": "rain", "sku": "none" }),
        };
        for asker in ASKERS {
            // An event stream has no end to be read to.
            if path.ends_with("/a/events") && allowed.contains(&asker) {
                continue;
            }
            let token = &tokens[asker];
            let answer = people.ask(method.clone(), &path, token, &body).await?;
            let refused = answer.status == 401 || answer.status == 403;
            let wanted = !allowed.contains(&asker);
            ensure!(
                refused == wanted,
                "{} {path} by {asker} was {}: {answer:?}",
                route.method,
                answer.status
            );
            ensure!(
                !refused || (answer.status == 401) == (asker == "nobody"),
                "{answer:?}"
            );
            asked += 1;
        }
    }
    ensure!(asked > 250, "only {asked} requests were made");
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_for_sessions_everything_is_as_open_as_it_was() -> Result<()> {
    let people = People::start_with(|config| {
        config.auth = reverie_config::Auth::default();
    })
    .await?;
    for route in ROUTES {
        let open = !matches!(route.rule, Rule::Person | Rule::Node | Rule::Asks(_));
        if !open || route.path.ends_with("{channel}/events") || route.path.contains("{*") {
            continue;
        }
        let path = route.path.replace("{channel}", "a");
        let method = Method::from_bytes(route.method.as_bytes())?;
        let answer = people.ask(method, &path, "", &json!({})).await?;
        ensure!(
            answer.status != 401 && answer.status != 403,
            "{route:?}: {answer:?}"
        );
    }
    people.server.stop().await;
    Ok(())
}
