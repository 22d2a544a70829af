//! What a channel sells and refuses, and how far payments were taken in, on both databases.

use reverie_moments::filter::Blocklist;
use reverie_moments::life::{Compensation, Policy, Refused, State, Submission};
use reverie_moments::store::{Catalogue, Error, MAX_PRODUCTS, Paid, Product};

use crate::on_both;
use crate::world::{CHANNEL, World, bits, receipt};

on_both!(
    a_channel_offers_what_it_was_set_to_in_its_order,
    a_catalogue_that_changed_meanwhile_is_not_overwritten,
    two_changes_of_one_version_are_one_change,
    what_cannot_be_sold_is_refused_and_changes_nothing,
    a_moment_keeps_the_price_that_it_was_asked_for_at,
    a_blocked_prompt_is_refused_before_it_is_paid,
    a_blocklist_that_changed_meanwhile_is_not_overwritten,
    a_banned_viewer_is_taken_nothing_of_until_it_is_over_or_lifted,
    what_a_banned_viewer_paid_for_is_credited_or_looked_at,
    what_was_reconciled_never_goes_back,
    a_channel_and_the_one_it_is_tied_to_are_found_from_either_side,
);

fn product(sku: &str, price: i64) -> Product {
    Product {
        sku: sku.into(),
        name: sku.to_uppercase(),
        price,
        duration: 15_000,
        pipeline: (price > 100).then(|| "debug-invert".into()),
        params: r#"{"steps":2}"#.into(),
    }
}

async fn set(world: &World, products: &[Product], version: i64) -> Result<Option<i64>, Error> {
    let store = &world.store;
    store
        .set_catalogue(world.now(), CHANNEL, products, version)
        .await
}

async fn a_channel_offers_what_it_was_set_to_in_its_order(world: World) {
    let offered = world.store.catalogue(CHANNEL).await.unwrap();
    assert_eq!(offered, Catalogue::default());
    let products = [
        product("snow", 200),
        product("rain", 100),
        product("fog", 0),
    ];
    assert_eq!(set(&world, &products, 0).await.unwrap(), Some(1));
    let offered = world.store.catalogue(CHANNEL).await.unwrap();
    assert_eq!(
        (offered.products.as_slice(), offered.version),
        (&products[..], 1)
    );
    assert_eq!(set(&world, &[], 1).await.unwrap(), Some(2));
    let offered = world.store.catalogue(CHANNEL).await.unwrap();
    assert_eq!((offered.products.len(), offered.version), (0, 2));
    let told = world.store.events(CHANNEL, 0, 100).await.unwrap();
    let last = told.last().unwrap();
    assert_eq!(last.kind, "settings.changed");
    assert!(last.body.contains("\"products\":2"), "{}", last.body);
}

async fn a_catalogue_that_changed_meanwhile_is_not_overwritten(world: World) {
    set(&world, &[product("rain", 100)], 0).await.unwrap();
    assert_eq!(set(&world, &[], 0).await.unwrap(), None);
    assert_eq!(set(&world, &[], 7).await.unwrap(), None);
    assert_eq!(
        world.store.catalogue(CHANNEL).await.unwrap().products.len(),
        1
    );
}

async fn two_changes_of_one_version_are_one_change(world: World) {
    let (one, two) = ([product("rain", 100)], [product("snow", 100)]);
    let (a, b) = tokio::join!(set(&world, &one, 0), set(&world, &two, 0));
    let mut versions = [a.unwrap(), b.unwrap()];
    versions.sort();
    assert_eq!(versions, [None, Some(1)]);
    assert_eq!(
        world.store.catalogue(CHANNEL).await.unwrap().products.len(),
        1
    );
}

async fn what_cannot_be_sold_is_refused_and_changes_nothing(world: World) {
    set(&world, &[product("rain", 100)], 0).await.unwrap();
    let many: Vec<_> = (0..=MAX_PRODUCTS)
        .map(|n| product(&format!("p{n}"), 100))
        .collect();
    let unlasting = Product {
        duration: 0,
        ..product("snow", 100)
    };
    for (wrong, words) in [
        (
            vec![product("snow", -1)],
            "\"snow\" costs less than nothing",
        ),
        (vec![unlasting], "\"snow\" has no duration"),
        (
            vec![product("snow", 1), product("snow", 2)],
            "\"snow\" is there twice",
        ),
        (many, "\"p50\" is one too many"),
    ] {
        let refused = set(&world, &wrong, 1).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let offered = world.store.catalogue(CHANNEL).await.unwrap();
    assert_eq!(offered.products, [product("rain", 100)]);
    let nowhere = world.store.set_catalogue(0, "nowhere", &[], 0).await;
    assert!(matches!(
        nowhere,
        Err(Error::Refused(Refused::Channel(name))) if name == "nowhere"
    ));
}

async fn a_moment_keeps_the_price_that_it_was_asked_for_at(world: World) {
    let moment = world.submit(bits("ann")).await;
    set(&world, &[product("short", 999)], 0).await.unwrap();
    let kept = world.store.moment(&moment.id).await.unwrap();
    assert_eq!((kept.price, kept.state), (100, State::Submitted));
}

async fn a_blocked_prompt_is_refused_before_it_is_paid(world: World) {
    let list = Blocklist::new(["rain"]).unwrap();
    let store = &world.store;
    assert_eq!(
        store
            .set_blocklist(world.now(), CHANNEL, &list, 0)
            .await
            .unwrap(),
        Some(1)
    );
    let refused = store.submit(world.now(), bits("ann")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Refused(Refused::Unwanted(_))),
        "{refused}"
    );
    assert!(store.moment(&"m-ann".into()).await.is_err());
    let events = store.events(CHANNEL, 0, 100).await.unwrap();
    assert!(
        events.iter().all(|event| !event.body.contains("rain")),
        "{events:?}"
    );
}

async fn a_blocklist_that_changed_meanwhile_is_not_overwritten(world: World) {
    let (one, two) = (Blocklist::new(["rain"]), Blocklist::new(["snow*", "Hail"]));
    let (one, two) = (one.unwrap(), two.unwrap());
    let store = &world.store;
    let first = store.set_blocklist(world.now(), CHANNEL, &one, 0).await;
    assert_eq!(first.unwrap(), Some(1));
    let stale = store.set_blocklist(world.now(), CHANNEL, &two, 0).await;
    assert_eq!(stale.unwrap(), None);
    let second = store.set_blocklist(world.now(), CHANNEL, &two, 1).await;
    assert_eq!(second.unwrap(), Some(2));
    assert_eq!(store.blocklist(CHANNEL).await.unwrap(), (two, 2));
    let none = (Blocklist::default(), 0);
    assert_eq!(store.blocklist("elsewhere").await.unwrap(), none);
}

async fn a_banned_viewer_is_taken_nothing_of_until_it_is_over_or_lifted(world: World) {
    let store = &world.store;
    let ann = world.submit(bits("ann")).await;
    let stale = store.ban(world.now(), &ann.id, ann.version + 1, "", None);
    assert!(matches!(
        stale.await,
        Err(Error::Refused(Refused::Stale { .. }))
    ));
    let until = world.now() + 60_000;
    for (lasts, told) in [(Some(60_000), Some(until)), (None, None)] {
        store
            .ban(world.now(), &ann.id, ann.version, "", lasts)
            .await
            .unwrap();
        let bans = store.bans(world.now(), CHANNEL).await.unwrap();
        assert_eq!((bans.len(), bans[0].until), (1, told));
        assert_eq!(bans[0].moment, ann.id);
        let refused = store.submit(world.now(), again("ann")).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused(Refused::Banned { until }) if *until == told),
            "{refused}"
        );
    }
    // Another opaque id of the same person, and somebody else.
    let mut other = again("ann2");
    other.viewer.id = ann.viewer.id.clone();
    assert!(ann.viewer.id.is_some());
    let refused = store.submit(world.now(), other).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(Refused::Banned { .. })));
    world.submit(bits("bob")).await;

    assert!(store.lift(world.now(), CHANNEL, &ann.id).await.unwrap());
    assert!(!store.lift(world.now(), CHANNEL, &ann.id).await.unwrap());
    assert_eq!(store.bans(world.now(), CHANNEL).await.unwrap(), []);
    let open = store.submit(world.now(), again("ann")).await.unwrap_err();
    assert!(matches!(open, Error::Refused(Refused::Open { .. })));
    store
        .ban(world.now(), &ann.id, ann.version, "", Some(1000))
        .await
        .unwrap();
    let later = world.now() + 1000;
    assert_eq!(store.bans(later, CHANNEL).await.unwrap(), []);
    let open = store.submit(later, again("ann")).await.unwrap_err();
    assert!(matches!(open, Error::Refused(Refused::Open { .. })));
    let told = store.events(CHANNEL, 0, 100).await.unwrap();
    assert!(told.iter().any(|event| event.body.contains("bans")));
    assert!(told.iter().all(|event| !event.body.contains("ann")));
}

async fn what_a_banned_viewer_paid_for_is_credited_or_looked_at(world: World) {
    let store = &world.store;
    let waits = world.queued("ann").await;
    store
        .set_policy(world.now(), CHANNEL, Policy::Auto)
        .await
        .unwrap();
    let unpaid = store.submit(world.now(), again("ann")).await.unwrap();
    let banned = store.ban(world.now(), &waits.id, waits.version, "", None);
    let banned = banned.await.unwrap();
    assert_eq!(banned.state, State::Cancelled);
    assert_eq!(banned.compensation, Compensation::Credited);
    // What was asked for before is paid: somebody looks at it, though nobody looks at others'.
    let late = receipt(&unpaid.moment, "late");
    let paid = store.accept(world.now(), &late).await.unwrap();
    let Paid::Accepted(paid) = paid else {
        panic!("it was paid");
    };
    assert_eq!(paid.state, State::PendingApproval);
    let banned = store.ban(world.now(), &paid.id, paid.version, "no", None);
    let banned = banned.await.unwrap();
    assert_eq!(banned.state, State::Rejected);
    assert_eq!(banned.compensation, Compensation::Credited);
    assert_eq!(store.bans(world.now(), CHANNEL).await.unwrap().len(), 1);
}

/// Another request of this viewer.
fn again(viewer: &str) -> Submission {
    Submission {
        id: format!("m2-{viewer}").as_str().into(),
        idempotency_key: format!("k2-{viewer}"),
        ..bits(viewer)
    }
}

async fn what_was_reconciled_never_goes_back(world: World) {
    let store = &world.store;
    assert_eq!(store.reconciled("bits").await.unwrap(), None);
    store.set_reconciled("bits", 20).await.unwrap();
    store.set_reconciled("bits", 10).await.unwrap();
    assert_eq!(store.reconciled("bits").await.unwrap(), Some(20));
    assert_eq!(store.reconciled("other").await.unwrap(), None);
}

async fn a_channel_and_the_one_it_is_tied_to_are_found_from_either_side(world: World) {
    let store = &world.store;
    store.link_channel("twitch", "42", CHANNEL).await.unwrap();
    let external = store.linked_to("twitch", CHANNEL).await.unwrap();
    assert_eq!(external.as_deref(), Some("42"));
    let own = store.linked_channel("twitch", "42").await.unwrap();
    assert_eq!(own.as_deref(), Some(CHANNEL));
    assert_eq!(store.linked_to("other", CHANNEL).await.unwrap(), None);
    assert_eq!(store.linked_to("twitch", "elsewhere").await.unwrap(), None);
}
