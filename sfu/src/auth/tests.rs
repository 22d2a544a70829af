//! Every door with every kind of token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reverie_config::{Auth as Config, Day, Role, Scope, Secret, StaticToken};

use super::token::mint;
use super::{Auth, Denied, Fault, Grant, Holder, Need, Revoked};

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
        Need::Control,
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
    assert!(elsewhere(&auth.check(Need::Control, Some(WATCH), 0)));
    assert!(elsewhere(&auth.check(Need::List, Some(CONTROL), 0)));
    assert_eq!(auth.check(Need::Control, None, 0), Err(Denied::NoToken));
    let unknown = auth.check(Need::Control, Some("another-0123456789"), 0);
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
