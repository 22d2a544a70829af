//! Each promise of the store, on both databases.

use reverie_moments::Reason;
use reverie_moments::life::{Compensation, Receipt, Refused, Source, State, Submission};
use reverie_moments::store::{Error, Outcome, Paid};

use crate::on_both;
use crate::world::{CHANNEL, NODE, World, bits, limits, receipt};

on_both!(
    a_paid_moment_is_reviewed_shown_and_completed,
    each_change_is_an_event_with_the_next_number,
    events_have_no_prompt_in_them,
    the_database_refuses_a_second_live_moment,
    the_database_refuses_what_no_program_should_write,
    a_key_that_was_used_for_something_else_is_refused,
    a_viewer_pays_for_one_moment_at_a_time,
    a_receipt_counts_once,
    a_second_payment_for_the_same_moment_becomes_credits,
    a_late_receipt_is_honoured_for_an_hour_and_becomes_credits_after_it,
    a_receipt_that_only_the_service_tells_of_finds_its_moment,
    a_rejected_moment_gives_its_price_back_once,
    credits_pay_for_a_moment_and_are_spent_once,
    an_old_version_decides_nothing,
    a_viewer_cancels_their_own_moment_only,
);

async fn a_paid_moment_is_reviewed_shown_and_completed(world: World) {
    let submitted = world.submit(bits("ann")).await;
    assert_eq!(submitted.state, State::Submitted);
    let paid = world
        .store
        .accept(world.now(), &receipt(&submitted, "t1"))
        .await
        .unwrap();
    let Paid::Accepted(pending) = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(pending.state, State::PendingApproval);
    let queued = world
        .store
        .approve(world.now(), &pending.id, pending.version)
        .await
        .unwrap();
    assert_eq!(queued.state, State::Queued);
    let (lease, warming) = world.claim().await;
    assert_eq!((warming.state, warming.epoch), (State::Warming, 1));
    let began = world.pass(2000);
    let active = world.store.started(began, &lease).await.unwrap();
    assert_eq!(active.ends_at(), Some(began + 10_000));
    let done = world
        .store
        .finish(world.pass(10_000), &lease, Outcome::Shown)
        .await
        .unwrap();
    assert_eq!(
        (done.state, done.owner.as_deref()),
        (State::Completed, None)
    );
    assert_eq!(done.ended_at, Some(world.now()));
    assert_eq!(world.store.moment(&done.id).await.unwrap(), done);
}

async fn each_change_is_an_event_with_the_next_number(world: World) {
    let before = world.store.snapshot(CHANNEL).await.unwrap().n;
    let (lease, _) = world.active("ann").await;
    world
        .store
        .finish(world.pass(10_000), &lease, Outcome::Shown)
        .await
        .unwrap();
    let events = world.store.events(CHANNEL, before, 100).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "moment.submitted",
            "moment.pending",
            "moment.queued",
            "moment.warming",
            "moment.active",
            "moment.completed"
        ]
    );
    for (n, event) in (before + 1..).zip(&events) {
        assert_eq!((event.n, event.moment.as_str()), (n, "m-ann"));
    }
    let last: serde_json::Value = serde_json::from_str(&events[5].body).unwrap();
    assert_eq!(
        (&last["version"], &last["data"]["from"]),
        (&5.into(), &"active".into())
    );
    assert_eq!(world.store.snapshot(CHANNEL).await.unwrap().n, events[5].n);
    let rest = world.store.events(CHANNEL, events[4].n, 100).await.unwrap();
    assert_eq!(rest, events[5..]);
}

async fn events_have_no_prompt_in_them(world: World) {
    world.active("ann").await;
    for event in world.store.events(CHANNEL, 0, 100).await.unwrap() {
        assert!(!event.body.contains("rain"), "{}", event.body);
    }
}

async fn the_database_refuses_a_second_live_moment(world: World) {
    world.active("ann").await;
    let bob = world.queued("bob").await;
    let second = sqlx::query("UPDATE moments SET state = 'warming' WHERE id = $1")
        .bind(bob.id.as_str())
        .execute(&world.tables().await)
        .await
        .unwrap_err();
    assert!(
        second.as_database_error().unwrap().is_unique_violation(),
        "{second}"
    );
    assert_eq!(
        world.store.claim(world.now(), CHANNEL, NODE).await.unwrap(),
        None
    );
}

async fn the_database_refuses_what_no_program_should_write(world: World) {
    let ann = world.paid("ann").await;
    let tables = world.tables().await;
    for refused in [
        "UPDATE moments SET state = 'gone'",
        "UPDATE moments SET source = 'gold'",
        "UPDATE moments SET price = -1",
        "UPDATE channels SET policy = 'maybe'",
        "INSERT INTO accounts(account, unit, balance) VALUES('a', 'credit', -1)",
        "INSERT INTO receipts SELECT source, transaction_id, NULL, channel_id, user_id, sku, amount, raw, seen_at FROM receipts",
        "INSERT INTO receipts SELECT source, 'other', moment_id, channel_id, user_id, sku, amount, raw, seen_at FROM receipts",
        "INSERT INTO moment_events SELECT * FROM moment_events",
    ] {
        assert!(
            sqlx::query(refused).execute(&tables).await.is_err(),
            "{refused}"
        );
    }
    assert_eq!(world.state(&ann).await, State::PendingApproval);
}

async fn a_key_that_was_used_for_something_else_is_refused(world: World) {
    let first = world.submit(bits("ann")).await;
    let again = world.store.submit(world.now(), bits("ann")).await.unwrap();
    assert_eq!((again.fresh, &again.moment), (false, &first));
    let other = Submission {
        prompt: "snow".into(),
        ..bits("ann")
    };
    refused(
        world.store.submit(world.now(), other).await,
        "used for the moment m-ann",
    );
    let id = Submission {
        id: first.id.clone(),
        ..bits("bob")
    };
    refused(world.store.submit(world.now(), id).await, "is in use");
}

async fn a_viewer_pays_for_one_moment_at_a_time(world: World) {
    world.submit(bits("ann")).await;
    let second = Submission {
        id: "m2".into(),
        idempotency_key: "k2".into(),
        ..bits("ann")
    };
    refused(
        world.store.submit(world.now(), second.clone()).await,
        "not paid yet",
    );
    world.pass(limits().payment);
    world.store.reap(world.now()).await.unwrap();
    world.online(CHANNEL).await;
    assert!(world.store.submit(world.now(), second).await.is_ok());
}

async fn a_receipt_counts_once(world: World) {
    let ann = world.submit(bits("ann")).await;
    let bob = world.submit(bits("bob")).await;
    let first = receipt(&ann, "t1");
    assert!(matches!(
        world.store.accept(world.now(), &first).await,
        Ok(Paid::Accepted(_))
    ));
    assert!(matches!(
        world.store.accept(world.now(), &first).await,
        Ok(Paid::Repeated(_))
    ));
    refused(
        world.store.accept(world.now(), &receipt(&bob, "t1")).await,
        "used already",
    );
    assert_eq!(world.state(&bob).await, State::Submitted);
    let wrong = Receipt {
        sku: "long".into(),
        ..receipt(&bob, "t2")
    };
    refused(world.store.accept(world.now(), &wrong).await, "sku");
    // It was refused, not used up.
    assert!(matches!(
        world.store.accept(world.now(), &receipt(&bob, "t2")).await,
        Ok(Paid::Accepted(_))
    ));
}

async fn a_second_payment_for_the_same_moment_becomes_credits(world: World) {
    let ann = world.paid("ann").await;
    let second = receipt(&ann, "other");
    assert_eq!(
        world.store.accept(world.now(), &second).await.unwrap(),
        Paid::Credited
    );
    assert_eq!(
        world.store.accept(world.now(), &second).await.unwrap(),
        Paid::RepeatedCredit
    );
    assert_eq!(world.balance("ann").await, 100);
    assert_eq!(world.state(&ann).await, State::PendingApproval);
}

async fn a_late_receipt_is_honoured_for_an_hour_and_becomes_credits_after_it(world: World) {
    let ann = world.submit(bits("ann")).await;
    let bob = world.submit(bits("bob")).await;
    world.pass(120_000);
    let reaped = world.store.reap(world.now()).await.unwrap().moments;
    assert_eq!(reaped.len(), 2);
    assert!(reaped.iter().all(|moment| moment.state == State::Expired
        && moment.reason == Some(Reason::NotPaid)
        && moment.compensation == Compensation::None));
    world.pass(3_600_000);
    let paid = world
        .store
        .accept(world.now(), &receipt(&ann, "t1"))
        .await
        .unwrap();
    assert!(
        matches!(&paid, Paid::Accepted(moment) if moment.state == State::PendingApproval),
        "{paid:?}"
    );
    world.pass(1);
    let paid = world
        .store
        .accept(world.now(), &receipt(&bob, "t2"))
        .await
        .unwrap();
    assert_eq!(paid, Paid::Credited);
    assert_eq!(
        (world.balance("ann").await, world.balance("bob").await),
        (0, 100)
    );
}

async fn a_receipt_that_only_the_service_tells_of_finds_its_moment(world: World) {
    let ann = world.submit(bits("ann")).await;
    let told = |transaction: &str| Receipt {
        moment: None,
        ..receipt(&ann, transaction)
    };
    let paid = world.store.accept(world.now(), &told("t1")).await.unwrap();
    assert!(
        matches!(&paid, Paid::Accepted(moment) if moment.id == ann.id),
        "{paid:?}"
    );
    let again = world
        .store
        .accept(world.now(), &receipt(&ann, "t1"))
        .await
        .unwrap();
    assert!(matches!(again, Paid::Repeated(_)), "{again:?}");
    assert_eq!(
        world.store.accept(world.now(), &told("t2")).await.unwrap(),
        Paid::Credited
    );
}

async fn a_rejected_moment_gives_its_price_back_once(world: World) {
    let ann = world.paid("ann").await;
    let rejected = world
        .store
        .reject(world.now(), &ann.id, ann.version, "not today")
        .await
        .unwrap();
    assert_eq!(rejected.state, State::Rejected);
    assert_eq!(rejected.compensation, Compensation::Credited);
    assert_eq!(rejected.reason, Some(Reason::rejected("not today")));
    assert_eq!(world.balance("ann").await, 100);
    refused(
        world
            .store
            .reject(world.now(), &ann.id, rejected.version, "again")
            .await,
        "is rejected and cannot be rejected",
    );
    assert_eq!(world.balance("ann").await, 100);
    let second = sqlx::query(
        "INSERT INTO ledger SELECT 'x', account, delta, unit, ref, reason, at FROM ledger",
    )
    .execute(&world.tables().await)
    .await
    .unwrap_err();
    assert!(
        second.as_database_error().unwrap().is_unique_violation(),
        "{second}"
    );
}

async fn credits_pay_for_a_moment_and_are_spent_once(world: World) {
    let ann = world.paid("ann").await;
    world
        .store
        .reject(world.now(), &ann.id, ann.version, "")
        .await
        .unwrap();
    let with_credits = |n: u32| Submission {
        id: format!("credit-{n}").as_str().into(),
        source: Source::Credit,
        idempotency_key: format!("credit-{n}"),
        ..bits("ann")
    };
    let first = world.submit(with_credits(1)).await;
    refused(
        world.store.spend(world.now(), &first.id, "bob").await,
        "another viewer's",
    );
    let spent = world
        .store
        .spend(world.now(), &first.id, "ann")
        .await
        .unwrap();
    assert_eq!(spent.state, State::PendingApproval);
    assert_eq!(world.balance("ann").await, 0);
    let second = world.submit(with_credits(2)).await;
    refused(
        world.store.spend(world.now(), &second.id, "ann").await,
        "costs 100 credits; 0 are there",
    );
    world
        .store
        .reject(world.now(), &spent.id, spent.version, "")
        .await
        .unwrap();
    assert_eq!(world.balance("ann").await, 100);
}

async fn an_old_version_decides_nothing(world: World) {
    let ann = world.paid("ann").await;
    let queued = world
        .store
        .approve(world.now(), &ann.id, ann.version)
        .await
        .unwrap();
    for answer in [
        world.store.approve(world.now(), &ann.id, ann.version).await,
        world
            .store
            .reject(world.now(), &ann.id, ann.version, "")
            .await,
        world
            .store
            .cancel(world.now(), &ann.id, ann.version, None)
            .await,
        world
            .store
            .move_to(world.now(), &ann.id, ann.version, 0)
            .await,
        world.store.stop(world.now(), &ann.id, ann.version).await,
        world.store.hide(world.now(), &ann.id, ann.version).await,
    ] {
        refused(answer, "has version 2, not 1");
    }
    assert_eq!(world.store.moment(&ann.id).await.unwrap(), queued);
}

async fn a_viewer_cancels_their_own_moment_only(world: World) {
    let ann = world.queued("ann").await;
    let bobs = world
        .store
        .cancel(world.now(), &ann.id, ann.version, Some("bob"))
        .await;
    refused(bobs, "another viewer's");
    let own = world
        .store
        .cancel(world.now(), &ann.id, ann.version, Some("ann"))
        .await
        .unwrap();
    assert_eq!(own.state, State::Cancelled);
    assert_eq!(world.balance("ann").await, 100);
}

pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, words: &str) {
    match answer {
        Err(Error::Refused(refused)) => assert!(refused.to_string().contains(words), "{refused}"),
        other => panic!("{other:?} instead of a refusal with {words:?}"),
    }
}

pub(crate) fn lost<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::LeaseLost { .. })), "{answer:?}");
}

#[test]
fn a_refusal_of_the_prompt_keeps_its_words() {
    let refused = Refused::from(reverie_moments::Unfit::Empty { max: 5 });
    assert_eq!(
        refused.to_string(),
        "the prompt is empty; 1 to 5 characters are accepted"
    );
}
