//! People, roles, sessions and keys, on both databases.

use reverie_moments::store::{
    ApiKey, Error, Person, ProviderToken, Refreshed, Registered, Role, Session, Store,
};

use crate::on_both;
use crate::world::{CHANNEL, World};

on_both!(
    an_address_is_one_account_in_whatever_case,
    of_many_who_register_one_address_at_once_one_gets_it,
    a_password_is_kept_as_a_hash_of_argon2id_or_not_at_all,
    an_account_and_its_channel_are_made_together_or_not_at_all,
    a_channel_has_one_streamer_and_the_first_who_asks_is_it,
    a_channel_that_was_made_without_a_streamer_cannot_be_claimed,
    a_role_is_for_its_channel_and_an_admins_for_all,
    a_streamer_who_is_made_moderator_stays_streamer,
    the_database_refuses_roles_that_mean_nothing,
    a_session_ends_when_it_is_revoked_or_its_time_is_over,
    a_refresh_token_is_good_once_and_its_second_use_ends_the_session,
    two_pages_that_refresh_at_once_get_the_same_next_token,
    of_many_refreshes_at_once_one_moves_on,
    the_sessions_of_one_subject_end_together,
    sessions_that_ended_long_ago_are_forgotten,
    a_key_opens_until_it_is_revoked_or_expires,
    a_channel_of_another_service_is_one_channel_here,
    the_next_provider_token_takes_the_place_of_the_one_before,
);

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA";

fn person(id: &str, email: &str) -> Person {
    Person {
        id: id.into(),
        email: email.into(),
        password: HASH.into(),
        created_at: 5,
    }
}

fn session(world: &World, id: &str, subject: &str) -> Session {
    Session {
        id: id.into(),
        subject: subject.into(),
        role: "streamer".into(),
        channel: Some(CHANNEL.into()),
        expires_at: world.now() + 1000,
        refresh_n: 0,
    }
}

async fn opened(world: &World, id: &str) -> Session {
    let session = session(world, id, "person:ann");
    world
        .store
        .open_session(world.now(), &session)
        .await
        .unwrap();
    session
}

async fn lives(world: &World, id: &str) -> bool {
    world.store.session_lives(world.now(), id).await.unwrap()
}

/// Whether an account was made.
async fn registered(world: &World, person: &Person) -> bool {
    world.store.register(person, None).await.unwrap() == Registered::Done
}

async fn an_address_is_one_account_in_whatever_case(world: World) {
    let ann = person("1", "Ann@Example.org");
    assert!(registered(&world, &ann).await);
    assert!(!registered(&world, &person("2", "ann@EXAMPLE.ORG")).await);
    let found = world
        .store
        .person_by_email("ANN@example.org")
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(&ann), "as it was written");
    assert_eq!(world.store.person("1").await.unwrap(), Some(ann));
    assert_eq!(world.store.person("2").await.unwrap(), None);
    let shown = format!("{found:?}");
    assert!(
        !shown.contains("argon2") && !shown.contains("example"),
        "{shown}"
    );
}

async fn of_many_who_register_one_address_at_once_one_gets_it(world: World) {
    let each = (0..12).map(|n| {
        let store = world.store.clone();
        let email = if n % 2 == 0 {
            "bob@example.org"
        } else {
            "BOB@example.org"
        };
        tokio::spawn(async move {
            let added = store.register(&person(&n.to_string(), email), None).await;
            added.unwrap() == Registered::Done
        })
    });
    let mut added = 0;
    for task in each.collect::<Vec<_>>() {
        added += u32::from(task.await.unwrap());
    }
    assert_eq!(added, 1);
}

async fn a_password_is_kept_as_a_hash_of_argon2id_or_not_at_all(world: World) {
    let mut ann = person("1", "ann@example.org");
    ann.password = "hunter2".into();
    assert!(world.store.register(&ann, None).await.is_err());
    ann.password = HASH.into();
    assert!(registered(&world, &ann).await);
    assert!(world.store.set_password("1", "hunter2").await.is_err());
    let other = HASH.replace("c2FsdHNhbHQ", "b3RoZXJzYWx0");
    assert!(world.store.set_password("1", &other).await.unwrap());
    assert!(!world.store.set_password("2", &other).await.unwrap());
    assert_eq!(
        world.store.person("1").await.unwrap().unwrap().password,
        other
    );
}

async fn an_account_and_its_channel_are_made_together_or_not_at_all(world: World) {
    let (ann, bob) = (
        person("1", "ann@example.org"),
        person("2", "bob@example.org"),
    );
    let register = async |person, channel| world.store.register(person, channel).await.unwrap();
    assert_eq!(register(&ann, Some("mine")).await, Registered::Done);
    assert_eq!(register(&bob, Some("mine")).await, Registered::ChannelTaken);
    assert_eq!(
        world.store.person("2").await.unwrap(),
        None,
        "no account either"
    );
    assert_eq!(register(&bob, None).await, Registered::Done);
    assert_eq!(
        register(&person("3", "BOB@example.org"), Some("free")).await,
        Registered::EmailTaken
    );
    assert_eq!(world.store.streamer("free").await.unwrap(), None);
    assert_eq!(
        world.store.streamer("mine").await.unwrap().as_deref(),
        Some("person:1")
    );
}

async fn a_channel_has_one_streamer_and_the_first_who_asks_is_it(world: World) {
    let store = &world.store;
    assert!(store.claim_channel(1, "fresh", "person:ann").await.unwrap());
    assert!(
        store.claim_channel(2, "fresh", "person:ann").await.unwrap(),
        "again"
    );
    assert!(!store.claim_channel(3, "fresh", "person:bob").await.unwrap());
    assert_eq!(
        store.role("fresh", "person:ann").await.unwrap(),
        Some(Role::Streamer)
    );
    assert_eq!(store.role("fresh", "person:bob").await.unwrap(), None);
    assert!(matches!(
        store.grant(4, "fresh", "person:bob", Role::Streamer).await,
        Err(Error::Database(_))
    ));
    let each = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .claim_channel(5, "race", &format!("person:{n}"))
                .await
                .unwrap()
        })
    });
    let mut won = 0;
    for task in each.collect::<Vec<_>>() {
        won += u32::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn a_channel_that_was_made_without_a_streamer_cannot_be_claimed(world: World) {
    assert!(
        !world
            .store
            .claim_channel(1, CHANNEL, "person:ann")
            .await
            .unwrap()
    );
    assert_eq!(world.store.role(CHANNEL, "person:ann").await.unwrap(), None);
    // Who runs the server can still give it to somebody.
    world
        .store
        .grant(2, CHANNEL, "person:ann", Role::Streamer)
        .await
        .unwrap();
    assert_eq!(
        world.store.role(CHANNEL, "person:ann").await.unwrap(),
        Some(Role::Streamer)
    );
}

async fn a_role_is_for_its_channel_and_an_admins_for_all(world: World) {
    let store = &world.store;
    store.grant(1, "a", "person:ann", Role::Mod).await.unwrap();
    store
        .grant(2, "a", "person:root", Role::Admin)
        .await
        .unwrap();
    assert_eq!(
        store.role("a", "person:ann").await.unwrap(),
        Some(Role::Mod)
    );
    assert_eq!(store.role("b", "person:ann").await.unwrap(), None);
    assert_eq!(store.role("*", "person:ann").await.unwrap(), None);
    for channel in ["a", "b", "never-made"] {
        assert_eq!(
            store.role(channel, "person:root").await.unwrap(),
            Some(Role::Admin)
        );
    }
    assert_eq!(
        store.roles("person:root").await.unwrap(),
        [("*".to_owned(), Role::Admin)]
    );
    assert!(!store.withdraw("b", "person:ann", Role::Mod).await.unwrap());
    assert!(store.withdraw("a", "person:ann", Role::Mod).await.unwrap());
    assert_eq!(store.roles("person:ann").await.unwrap(), []);
}

async fn a_streamer_who_is_made_moderator_stays_streamer(world: World) {
    let store = &world.store;
    assert!(store.claim_channel(1, "a", "person:ann").await.unwrap());
    store.grant(2, "a", "person:ann", Role::Mod).await.unwrap();
    assert_eq!(
        store.role("a", "person:ann").await.unwrap(),
        Some(Role::Streamer)
    );
}

async fn the_database_refuses_roles_that_mean_nothing(world: World) {
    let tables = world.tables().await;
    for refused in [
        "INSERT INTO roles(channel_id, subject, role, created_at) VALUES('a', 's', 'king', 1)",
        "INSERT INTO roles(channel_id, subject, role, created_at) VALUES('a', 's', 'admin', 1)",
        "INSERT INTO roles(channel_id, subject, role, created_at) VALUES('*', 's', 'mod', 1)",
        "INSERT INTO people(id, email, email_key, password, created_at) VALUES('1', '', '', '$argon2id$', 1)",
        "INSERT INTO api_keys(id, hash, subject, role, created_at) VALUES('1', 'the key itself', 's', 'mod', 1)",
    ] {
        assert!(
            sqlx::query(refused).execute(&tables).await.is_err(),
            "{refused}"
        );
    }
}

async fn a_session_ends_when_it_is_revoked_or_its_time_is_over(world: World) {
    opened(&world, "s1").await;
    opened(&world, "s2").await;
    assert!(lives(&world, "s1").await && !lives(&world, "never").await);
    assert!(world.store.end_session("s1").await.unwrap());
    assert!(!world.store.end_session("s1").await.unwrap());
    assert!(!lives(&world, "s1").await && lives(&world, "s2").await);
    let gone = world
        .store
        .refresh_session(world.now(), "s1", 0, 10)
        .await
        .unwrap();
    assert_eq!(gone, Refreshed::Gone);
    world.pass(1000);
    assert!(!lives(&world, "s2").await);
    let late = world
        .store
        .refresh_session(world.now(), "s2", 0, 10)
        .await
        .unwrap();
    assert_eq!(late, Refreshed::Gone);
}

async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session(world: World) {
    let first = opened(&world, "s").await;
    let Refreshed::Next(next) = refresh(&world.store, world.now(), 0).await else {
        panic!("the first one is good")
    };
    assert_eq!(
        next,
        Session {
            refresh_n: 1,
            ..first
        }
    );
    world.pass(11);
    assert_eq!(
        refresh(&world.store, world.now(), 2).await,
        Refreshed::Gone,
        "never given"
    );
    assert!(lives(&world, "s").await);
    assert_eq!(
        refresh(&world.store, world.now(), 0).await,
        Refreshed::Reused
    );
    assert!(!lives(&world, "s").await);
    assert_eq!(
        refresh(&world.store, world.now(), 1).await,
        Refreshed::Gone,
        "nor the good one"
    );
}

async fn two_pages_that_refresh_at_once_get_the_same_next_token(world: World) {
    opened(&world, "s").await;
    assert!(matches!(
        refresh(&world.store, world.now(), 0).await,
        Refreshed::Next(_)
    ));
    world.pass(10);
    let Refreshed::Again(same) = refresh(&world.store, world.now(), 0).await else {
        panic!("a moment later")
    };
    assert_eq!(same.refresh_n, 1);
    assert!(lives(&world, "s").await);
}

async fn of_many_refreshes_at_once_one_moves_on(world: World) {
    opened(&world, "s").await;
    let now = world.now();
    let each = (0..8).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { refresh(&store, now, 0).await })
    });
    let (mut next, mut again) = (0, 0);
    for task in each.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Refreshed::Next(session) if session.refresh_n == 1 => next += 1,
            Refreshed::Again(session) if session.refresh_n == 1 => again += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((next, again), (1, 7));
}

async fn refresh(store: &Store, now: i64, n: i64) -> Refreshed {
    store.refresh_session(now, "s", n, 10).await.unwrap()
}

async fn the_sessions_of_one_subject_end_together(world: World) {
    opened(&world, "s1").await;
    opened(&world, "s2").await;
    assert!(!world.store.session_revoked("s1").await.unwrap());
    let other = session(&world, "s3", "person:bob");
    world.store.open_session(world.now(), &other).await.unwrap();
    let ends = async |id, subject| world.store.end_session_of(id, subject).await.unwrap();
    assert!(!ends("s3", "person:ann").await, "not theirs");
    assert_eq!(world.store.end_sessions_of("person:ann").await.unwrap(), 2);
    assert!(!lives(&world, "s1").await && !lives(&world, "s2").await && lives(&world, "s3").await);
}

async fn sessions_that_ended_long_ago_are_forgotten(world: World) {
    opened(&world, "old").await;
    world.pass(1000 + 86_400_000);
    opened(&world, "young").await;
    assert_eq!(count(&world).await, 2);
    world.pass(1);
    opened(&world, "youngest").await;
    assert_eq!(count(&world).await, 2, "the old one is gone");
}

async fn count(world: &World) -> i64 {
    let tables = world.tables().await;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM sessions");
    count.fetch_one(&tables).await.unwrap()
}

async fn a_key_opens_until_it_is_revoked_or_expires(world: World) {
    let (hash, store) = ("ab".repeat(32), &world.store);
    let key = |id: &str, expires_at| ApiKey {
        id: id.into(),
        subject: "person:ann".into(),
        role: "streamer".into(),
        channel: Some(CHANNEL.into()),
        label: "stream deck".into(),
        expires_at,
    };
    let (ever, short) = (key("k1", None), key("k2", Some(world.now() + 10)));
    store.add_key(world.now(), &ever, &hash).await.unwrap();
    store.add_key(world.now(), &short, &hash).await.unwrap();
    assert_eq!(
        store.key(world.now(), "k1", &hash).await.unwrap(),
        Some(ever)
    );
    assert_eq!(
        store.key(world.now(), "k2", &hash).await.unwrap(),
        Some(short)
    );
    assert_eq!(
        store
            .key(world.now(), "k1", &"cd".repeat(32))
            .await
            .unwrap(),
        None
    );
    let later = world.pass(10);
    assert_eq!(
        store.key(later, "k2", &hash).await.unwrap(),
        None,
        "expired"
    );
    assert!(
        !store.revoke_key("k1", "person:bob").await.unwrap(),
        "not theirs"
    );
    assert!(store.revoke_key("k1", "person:ann").await.unwrap());
    assert_eq!(store.key(later, "k1", &hash).await.unwrap(), None);
}

async fn a_channel_of_another_service_is_one_channel_here(world: World) {
    let store = &world.store;
    let linked = async |id: &str| store.linked_channel("twitch", id).await.unwrap();
    assert_eq!(linked("1").await, None);
    store.link_channel("twitch", "1", "show").await.unwrap();
    assert_eq!(linked("1").await.as_deref(), Some("show"));
    store.link_channel("twitch", "2", "show").await.unwrap();
    assert_eq!(
        (linked("1").await, linked("2").await.as_deref()),
        (None, Some("show"))
    );
    store.link_channel("twitch", "2", "other").await.unwrap();
    assert_eq!(linked("2").await.as_deref(), Some("other"));
}

async fn the_next_provider_token_takes_the_place_of_the_one_before(world: World) {
    let token = |sealed: &str| ProviderToken {
        channel: CHANNEL.into(),
        provider: "twitch".into(),
        subject: "1".into(),
        scopes: "user:bot".into(),
        sealed: sealed.into(),
        expires_at: 9,
    };
    world.store.keep_token(&token("one")).await.unwrap();
    world.store.keep_token(&token("two")).await.unwrap();
    let kept = world.store.kept_token(CHANNEL, "twitch").await.unwrap();
    assert_eq!(kept.as_ref(), Some(&token("two")));
    assert!(!format!("{kept:?}").contains("two"));
    assert_eq!(
        world.store.kept_token("other", "twitch").await.unwrap(),
        None
    );
}
