//! Every door with every kind of token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reverie_config::{Auth as Config, Day, Role, Scope, Secret, StaticToken};

use super::session::{LIFE, Rank, Session};
use super::token::mint;
use super::{Auth, Denied, Fault, Grant, Holder, Need, Revoked, keys};

const PUBLISH: &str = "publish-0123456789";
const WATCH: &str = "watch-0123456789abc";
const CONTROL: &str = "control-0123456789";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a good secret")
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn signed(role: Role, scope: &str, subject: Option<&str>) -> String {
    let scope = Scope::named(scope).expect("a scope");
    let grant = Grant {
        role,
        scope,
        subject: subject.map(str::to_owned),
    };
    let minted = mint(&secret(KEY), &grant, now_s(), Duration::from_secs(60));
    minted.expect("signed").token
}

fn with_key() -> Auth {
    Auth::new(
        &Config {
            token_key: Some(secret(KEY)),
            ..Config::default()
        },
        Revoked::default(),
    )
}

fn elsewhere(result: &Result<super::Pass, Denied>) -> bool {
    matches!(result, Err(Denied::Elsewhere { .. }))
}

#[test]
fn without_any_token_everything_is_open_and_everybody_is_the_same() {
    let auth = Auth::new(&Config::default(), Revoked::default());
    for need in [
        Need::Publish("a"),
        Need::Watch("a"),
        Need::Look("a"),
        Need::List,
        Need::Change,
        Need::Metrics,
    ] {
        let pass = auth.check(need, None, 0).expect("open");
        assert_eq!(pass.holder, Holder::Anybody);
        assert!(auth.check(need, Some("whatever"), 0).is_ok());
    }
}

#[test]
fn a_static_token_opens_its_own_doors_only() {
    let auth = Auth::new(
        &Config {
            publish_token: Some(secret(PUBLISH)),
            watch_token: Some(secret(WATCH)),
            control_token: Some(secret(CONTROL)),
            ..Config::default()
        },
        Revoked::default(),
    );
    assert!(auth.check(Need::Publish("a"), Some(PUBLISH), 0).is_ok());
    assert!(
        auth.check(Need::Look("a"), Some(PUBLISH), 0).is_ok(),
        "its own channel's state"
    );
    assert!(elsewhere(&auth.check(Need::Watch("a"), Some(PUBLISH), 0)));
    assert!(elsewhere(&auth.check(Need::Publish("a"), Some(WATCH), 0)));
    assert!(elsewhere(&auth.check(Need::Change, Some(WATCH), 0)));
    assert!(elsewhere(&auth.check(Need::List, Some(CONTROL), 0)));
    assert_eq!(auth.check(Need::Change, None, 0), Err(Denied::NoToken));
    let unknown = auth.check(Need::Change, Some("another-0123456789"), 0);
    assert_eq!(unknown, Err(Denied::Invalid(Fault::Unknown)));
    assert!(
        auth.check(Need::Metrics, None, 0).is_ok(),
        "it has no token"
    );
}

#[test]
fn a_scoped_token_is_for_its_channel_until_its_last_day_is_over() {
    let day = Day::parse("2027-01-31").expect("a day");
    let entry = |scope: &str, text, last_day| StaticToken {
        role: Role::Publish,
        scope: Scope::named(scope).expect("a scope"),
        secret: secret(text),
        last_day,
    };
    let auth = Auth::new(
        &Config {
            tokens: vec![
                entry("a", PUBLISH, Some(day)),
                entry("b", PUBLISH, None),
                entry("c", WATCH, Some(day)),
            ],
            ..Config::default()
        },
        Revoked::default(),
    );
    let end = day.end_s();
    let on_a = auth
        .check(Need::Publish("a"), Some(PUBLISH), end - 1)
        .expect("its last second");
    let on_b = auth
        .check(Need::Publish("b"), Some(PUBLISH), end)
        .expect("it does not expire");
    assert_eq!(on_a.holder, on_b.holder, "the same text is one credential");
    let Err(Denied::Elsewhere { has, needs }) = auth.check(Need::Publish("a"), Some(PUBLISH), end)
    else {
        panic!("only b is left")
    };
    assert_eq!(
        (has.as_str(), needs.as_str()),
        ("publishing on channel \"b\"", "publishing on channel \"a\"")
    );
    assert_eq!(
        auth.check(Need::Publish("c"), Some(WATCH), end),
        Err(Denied::Invalid(Fault::Expired))
    );
    assert!(
        auth.check(Need::Watch("a"), None, 0).is_ok(),
        "nothing guards watching"
    );
    assert_eq!(
        auth.check(Need::Publish("z"), None, 0),
        Err(Denied::NoToken),
        "publishing is guarded everywhere"
    );
}

#[test]
fn a_signed_token_is_for_its_role_and_channel() {
    let auth = with_key();
    let token = signed(Role::Publish, "a", None);
    let pass = auth
        .check(Need::Publish("a"), Some(&token), 0)
        .expect("its own door");
    assert!(pass.scope.covers("a") && !pass.scope.covers("b"));
    assert!(auth.check(Need::Look("a"), Some(&token), 0).is_ok());
    assert!(auth.check(Need::List, Some(&token), 0).is_ok());
    for need in [Need::Publish("b"), Need::Watch("a"), Need::Look("b")] {
        assert!(elsewhere(&auth.check(need, Some(&token), 0)), "{need:?}");
    }
    assert!(
        auth.check(Need::Watch("any"), Some(&signed(Role::Watch, "*", None)), 0)
            .is_ok()
    );
}

#[test]
fn a_subject_is_the_holder_and_without_one_the_grant_is() {
    let auth = with_key();
    let holder = |scope, subject| {
        let token = signed(Role::Publish, scope, subject);
        auth.check(Need::Publish("a"), Some(&token), 0)
            .expect("its door")
            .holder
    };
    assert_eq!(
        holder("a", None),
        holder("a", None),
        "a fresh token for the same thing"
    );
    assert_eq!(holder("a", Some("ada")), holder("*", Some("ada")));
    assert_ne!(holder("a", Some("ada")), holder("a", Some("bob")));
    assert_ne!(holder("a", Some("ada")), holder("a", None));
    assert_ne!(holder("a", None), holder("*", None));
}

#[test]
fn a_token_of_another_key_and_one_that_expired_say_so() {
    let auth = with_key();
    let scope = Scope::named("a").expect("a scope");
    let grant = Grant {
        role: Role::Publish,
        scope,
        subject: None,
    };
    let other = mint(
        &secret("another-key-of-32-bytes-and-more"),
        &grant,
        now_s(),
        Duration::from_secs(60),
    );
    let result = auth.check(Need::Publish("a"), Some(&other.expect("signed").token), 0);
    assert_eq!(result, Err(Denied::Invalid(Fault::Signature)));
    let old = mint(&secret(KEY), &grant, now_s() - 120, Duration::from_secs(60));
    let result = auth.check(Need::Publish("a"), Some(&old.expect("signed").token), 0);
    assert_eq!(result, Err(Denied::Invalid(Fault::Expired)));
    let young = mint(&secret(KEY), &grant, now_s() - 70, Duration::from_secs(60));
    assert!(
        auth.check(Need::Publish("a"), Some(&young.expect("signed").token), 0)
            .is_ok(),
        "clocks differ a little"
    );
}

#[test]
fn nothing_secret_is_in_a_debug_output() {
    let auth = Auth::new(
        &Config {
            publish_token: Some(secret(PUBLISH)),
            token_key: Some(secret(KEY)),
            ..Config::default()
        },
        Revoked::default(),
    );
    let shown = format!("{auth:?} {auth:#?}");
    assert!(!shown.contains(PUBLISH) && !shown.contains(KEY), "{shown}");
}

#[test]
fn a_subject_of_a_sensible_length_only() {
    let scope = Scope::All;
    for subject in [String::new(), "x".repeat(129)] {
        let grant = Grant {
            role: Role::Watch,
            scope: scope.clone(),
            subject: Some(subject),
        };
        assert!(mint(&secret(KEY), &grant, 0, Duration::ZERO).is_err());
    }
}

#[test]
fn a_revoked_token_opens_nothing_and_others_of_its_subject_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    std::fs::write(&path, "").expect("written");
    let revoked = Revoked::load(Some(&path)).expect("readable");
    let config = Config {
        token_key: Some(secret(KEY)),
        ..Config::default()
    };
    let auth = Auth::new(&config, revoked.clone());
    let (lost, other) = (
        signed(Role::Publish, "a", Some("ann")),
        signed(Role::Publish, "a", Some("ann")),
    );
    let need = Need::Publish("a");
    let pass = auth.check(need, Some(&lost), 0).expect("good");
    std::fs::write(&path, pass.token.expect("an id")).expect("written");
    assert!(auth.check(need, Some(&lost), 0).is_ok(), "not read yet");
    assert_eq!(revoked.reload().expect("readable"), 1);
    let denied = auth.check(need, Some(&lost), 0).expect_err("revoked");
    assert_eq!(denied, Denied::Invalid(Fault::Revoked));
    assert!(auth.check(need, Some(&other), 0).is_ok());
}

fn with_people(public_watch: bool) -> Auth {
    let config = Config {
        session_key: Some(secret(KEY)),
        control_token: Some(secret(CONTROL)),
        public_watch,
        ..Config::default()
    };
    Auth::new(&config, Revoked::default())
}

fn signed_in(auth: &Auth, rank: Rank, channel: Option<&str>) -> String {
    let session = Session {
        rank,
        subject: "person:ann".to_owned(),
        channel: channel.map(str::to_owned),
        id: "a1".to_owned(),
        user: None,
    };
    let signer = auth.signer().expect("a key for sessions");
    signer.mint(&session, now_s(), LIFE).expect("signed")
}

/// Every need of channel `a`, with the least rank that opens it there.
const OF_CHANNEL: [(Need<'_>, Rank); 6] = [
    (Need::Watch("a"), Rank::Viewer),
    (Need::Look("a"), Rank::Viewer),
    (Need::Submit("a"), Rank::Viewer),
    (Need::Moderate("a"), Rank::Mod),
    (Need::Own("a"), Rank::Streamer),
    (Need::Publish("a"), Rank::Streamer),
];

#[test]
fn a_session_opens_what_its_rank_does_on_its_channel_and_nothing_on_another() {
    let auth = with_people(false);
    for rank in [Rank::Node, Rank::Viewer, Rank::Mod, Rank::Streamer] {
        let (here, there) = (
            signed_in(&auth, rank, Some("a")),
            signed_in(&auth, rank, Some("b")),
        );
        for (need, least) in OF_CHANNEL {
            let pass = auth.check(need, Some(&here), 0);
            assert_eq!(pass.is_ok(), rank >= least, "{rank:?} {need:?}");
            assert!(
                elsewhere(&auth.check(need, Some(&there), 0)),
                "{rank:?} {need:?}"
            );
        }
        assert!(
            elsewhere(&auth.check(Need::Admin, Some(&here), 0)),
            "{rank:?}"
        );
        let person = auth.check(Need::Person, Some(&here), 0);
        assert_eq!(person.is_ok(), rank != Rank::Node, "{rank:?}");
        let node = auth.check(Need::Node, Some(&here), 0);
        assert_eq!(node.is_ok(), rank == Rank::Node, "{rank:?}");
    }
}

#[test]
fn an_admin_opens_every_channel_and_is_no_node() {
    let auth = with_people(false);
    let token = signed_in(&auth, Rank::Admin, None);
    for (need, _) in OF_CHANNEL {
        assert!(auth.check(need, Some(&token), 0).is_ok(), "{need:?}");
    }
    let pass = auth
        .check(Need::List, Some(&token), 0)
        .expect("all channels");
    assert_eq!(pass.scope, Scope::All);
    assert!(auth.check(Need::Admin, Some(&token), 0).is_ok());
    assert!(elsewhere(&auth.check(Need::Node, Some(&token), 0)));
}

#[test]
fn a_viewer_without_a_channel_asks_for_moments_only_where_everybody_watches() {
    for public in [false, true] {
        let auth = with_people(public);
        let token = signed_in(&auth, Rank::Viewer, None);
        let submit = auth.check(Need::Submit("a"), Some(&token), 0);
        assert_eq!(submit.is_ok(), public);
        let look = auth.check(Need::Look("a"), Some(&token), 0);
        assert_eq!(look.is_ok(), public, "open to everybody, or to no stranger");
        assert!(elsewhere(&auth.check(Need::Moderate("a"), Some(&token), 0)));
        assert!(auth.check(Need::Person, Some(&token), 0).is_ok());
    }
}

#[test]
fn a_key_for_sessions_closes_every_door_but_that_of_metrics() {
    let config = Config {
        session_key: Some(secret(KEY)),
        ..Config::default()
    };
    let auth = Auth::new(&config, Revoked::default());
    for (need, _) in OF_CHANNEL {
        assert_eq!(auth.check(need, None, 0), Err(Denied::NoToken), "{need:?}");
    }
    for need in [
        Need::List,
        Need::Change,
        Need::Admin,
        Need::Person,
        Need::Node,
    ] {
        assert_eq!(auth.check(need, None, 0), Err(Denied::NoToken), "{need:?}");
    }
    assert!(auth.check(Need::Metrics, None, 0).is_ok());
}

#[test]
fn the_control_token_opens_what_changes_a_channel_and_makes_nobody_of_anyone() {
    let auth = with_people(false);
    for need in [
        Need::Change,
        Need::Submit("a"),
        Need::Moderate("a"),
        Need::Own("a"),
        Need::Admin,
    ] {
        let pass = auth.check(need, Some(CONTROL), 0).expect("its door");
        assert_eq!(pass.session, None);
    }
    for need in [
        Need::Person,
        Need::Node,
        Need::Publish("a"),
        Need::Look("a"),
    ] {
        assert!(elsewhere(&auth.check(need, Some(CONTROL), 0)), "{need:?}");
    }
}

#[test]
fn nobody_is_somebody_where_everything_is_open() {
    let auth = Auth::new(&Config::default(), Revoked::default());
    for need in [
        Need::Submit("a"),
        Need::Moderate("a"),
        Need::Own("a"),
        Need::Admin,
    ] {
        assert!(auth.check(need, None, 0).is_ok(), "{need:?}");
    }
    for need in [Need::Person, Need::Node] {
        assert_eq!(auth.check(need, None, 0), Err(Denied::NoToken), "{need:?}");
    }
}

#[test]
fn a_link_is_signed_with_the_key_for_tokens_or_with_one_of_the_key_for_sessions() {
    let config = Config {
        session_key: Some(secret(KEY)),
        ..Config::default()
    };
    let derived = keys::of_media(&config).expect("a key");
    assert_ne!(derived.reveal(), KEY);
    let grant = Grant {
        role: Role::Watch,
        scope: Scope::Channel("a".to_owned()),
        subject: None,
    };
    let link = mint(&derived, &grant, now_s(), LIFE).expect("signed").token;
    let auth = Auth::new(&config, Revoked::default());
    assert!(auth.check(Need::Watch("a"), Some(&link), 0).is_ok());
    assert!(elsewhere(&auth.check(Need::Watch("b"), Some(&link), 0)));
    assert!(elsewhere(&auth.check(Need::Submit("a"), Some(&link), 0)));
    let by_sessions = mint(&secret(KEY), &grant, now_s(), LIFE)
        .expect("signed")
        .token;
    let denied = auth.check(Need::Watch("a"), Some(&by_sessions), 0);
    assert!(matches!(denied, Err(Denied::Invalid(_))), "{denied:?}");
}
