//! The rows of the table.

use super::*;
use crate::filter::Blocklist;
use crate::id::MomentId;
use crate::reason::Reason;

const NOW: Ms = 1_000_000;

fn limits() -> Limits {
    Limits {
        cooldown: 7000,
        viewer_cooldown: 30_000,
        ..Limits::default()
    }
}

fn submission() -> Submission {
    Submission {
        id: "m".into(),
        channel: "c".into(),
        viewer: Viewer {
            opaque: "U1".into(),
            id: Some("77".into()),
            name: None,
        },
        source: Source::Bits,
        sku: "short".into(),
        price: 100,
        prompt: " rain ".into(),
        params: "{}".into(),
        duration: 10_000,
        idempotency_key: "k".into(),
    }
}

fn moment(state: State) -> Moment {
    Moment {
        state,
        ..Moment::submitted(submission(), 0, NOW)
    }
}

fn room() -> Room {
    Room {
        policy: Policy::Manual,
        paused: false,
        banned: None,
        online: true,
        waiting: 0,
        open: None,
        latest: None,
        blocklist: Blocklist::default(),
    }
}

fn triggers() -> Vec<Trigger> {
    let failed = |retry| Trigger::PipelineFailed {
        words: "no memory".into(),
        retry,
    };
    let mut triggers = Policy::ALL.map(Trigger::Accepted).to_vec();
    triggers.extend([
        Trigger::Approved,
        Trigger::Rejected("no".into()),
        Trigger::Cancelled,
        Trigger::Requeued,
        Trigger::Claimed,
        Trigger::FirstFrame,
        failed(true),
        failed(false),
        Trigger::PublisherGone,
        Trigger::DurationReached,
        Trigger::Stopped,
        Trigger::Hidden,
        Trigger::LeaseLost,
        Trigger::Deadline,
        Trigger::StreamOffline,
    ]);
    triggers
}

/// Where the trigger leads, with what the viewer gets back.
fn leads(moment: &Moment, trigger: Trigger) -> Option<(State, Compensation)> {
    let step = next(moment, NOW, &trigger, &limits()).ok()?;
    Some((step.to, step.compensation))
}

#[test]
fn every_step_is_one_the_states_allow_and_every_allowed_one_is_taken() {
    for from in State::ALL {
        let mut moments = vec![moment(from)];
        moments.push(Moment {
            reason: Some(Reason::NotPaid),
            ended_at: Some(NOW - 1),
            ..moment(from)
        });
        let steps: Vec<_> = moments
            .iter()
            .flat_map(|moment| triggers().into_iter().map(move |t| (moment, t)))
            .filter_map(|(moment, trigger)| next(moment, NOW, &trigger, &limits()).ok())
            .map(|step| step.to)
            .collect();
        for to in State::ALL {
            assert_eq!(steps.contains(&to), from.may_become(to), "{from} to {to}");
        }
    }
}

#[test]
fn names_are_read_back() {
    for state in State::ALL {
        assert_eq!(State::named(state.as_str()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for source in Source::ALL {
        assert_eq!(Source::named(source.as_str()), Some(source));
    }
    for policy in Policy::ALL {
        assert_eq!(Policy::named(policy.as_str()), Some(policy));
    }
}

#[test]
fn a_paid_moment_goes_where_the_policy_says() {
    let paid = moment(State::Submitted);
    let to = |policy| leads(&paid, Trigger::Accepted(policy)).map(|(to, _)| to);
    assert_eq!(to(Policy::Manual), Some(State::PendingApproval));
    assert_eq!(to(Policy::Auto), Some(State::Queued));
    // It was paid while the channel still took moments.
    assert_eq!(to(Policy::Off), Some(State::PendingApproval));
    let own = Moment {
        source: Source::Streamer,
        ..paid
    };
    assert_eq!(
        leads(&own, Trigger::Accepted(Policy::Manual)).map(|(to, _)| to),
        Some(State::Queued)
    );
}

#[test]
fn nothing_is_owed_for_one_that_was_never_paid_and_its_price_for_all_that_were_not_shown() {
    let credited = Compensation::Credited;
    let failed = Trigger::PipelineFailed {
        words: "x".into(),
        retry: false,
    };
    let cases = [
        (
            State::Submitted,
            Trigger::Deadline,
            State::Expired,
            Compensation::None,
        ),
        (
            State::PendingApproval,
            Trigger::Deadline,
            State::Expired,
            credited,
        ),
        (
            State::PendingApproval,
            Trigger::Rejected("no".into()),
            State::Rejected,
            credited,
        ),
        (
            State::Queued,
            Trigger::Cancelled,
            State::Cancelled,
            credited,
        ),
        (State::Queued, Trigger::Deadline, State::Expired, credited),
        (
            State::Queued,
            Trigger::StreamOffline,
            State::Expired,
            credited,
        ),
        (State::Warming, failed.clone(), State::Failed, credited),
        (State::Warming, Trigger::Stopped, State::Cancelled, credited),
        (State::Active, failed, State::Failed, credited),
        (
            State::Active,
            Trigger::PublisherGone,
            State::Failed,
            credited,
        ),
        (State::Active, Trigger::LeaseLost, State::Failed, credited),
        (State::Active, Trigger::Hidden, State::Cancelled, credited),
        (
            State::Active,
            Trigger::DurationReached,
            State::Completed,
            Compensation::None,
        ),
        (
            State::Active,
            Trigger::Deadline,
            State::Completed,
            Compensation::None,
        ),
    ];
    for (from, trigger, to, compensation) in cases {
        let got = leads(&moment(from), trigger.clone());
        assert_eq!(got, Some((to, compensation)), "{from} {trigger:?}");
        let free = Moment {
            source: Source::Free,
            price: 0,
            ..moment(from)
        };
        assert_eq!(leads(&free, trigger), Some((to, Compensation::None)));
    }
}

#[test]
fn a_hidden_moment_is_credited_by_policy() {
    let limits = Limits {
        credit_hidden: false,
        ..limits()
    };
    let step = next(&moment(State::Active), NOW, &Trigger::Hidden, &limits).unwrap();
    assert_eq!(step.compensation, Compensation::None);
}

#[test]
fn eighty_percent_is_enough_to_be_completed() {
    let stopped = |seen| {
        let moment = Moment {
            started_at: Some(NOW - seen),
            ..moment(State::Active)
        };
        leads(&moment, Trigger::Stopped)
    };
    assert_eq!(stopped(7999), Some((State::Failed, Compensation::Credited)));
    assert_eq!(stopped(8000), Some((State::Completed, Compensation::None)));
}

#[test]
fn an_attempt_that_fails_keeps_its_place_until_the_third() {
    for trigger in [
        Trigger::LeaseLost,
        Trigger::Deadline,
        Trigger::PipelineFailed {
            words: String::new(),
            retry: true,
        },
    ] {
        for (attempts, to) in [(0, State::Queued), (1, State::Queued), (2, State::Failed)] {
            let moment = Moment {
                attempts,
                ..moment(State::Warming)
            };
            let step = next(&moment, NOW, &trigger, &limits()).unwrap();
            assert_eq!(
                (step.to, step.attempts, step.joins),
                (to, attempts + 1, false)
            );
        }
    }
    let gone = next(
        &moment(State::Warming),
        NOW,
        &Trigger::PublisherGone,
        &limits(),
    )
    .unwrap();
    assert_eq!((gone.to, gone.attempts), (State::Queued, 0));
}

#[test]
fn a_requeued_moment_waits_before_its_next_attempt() {
    let step = next(&moment(State::Warming), NOW, &Trigger::LeaseLost, &limits()).unwrap();
    assert_eq!(step.not_before, NOW + limits().retry_delay);
    let queued = Moment {
        not_before: step.not_before,
        ..moment(State::Queued)
    };
    let early = next(&queued, NOW, &Trigger::Claimed, &limits());
    assert!(matches!(early, Err(Refused::Early { .. })), "{early:?}");
    assert!(next(&queued, step.not_before, &Trigger::Claimed, &limits()).is_ok());
}

#[test]
fn each_state_has_its_own_deadline() {
    let deadline = |from, trigger| {
        next(&moment(from), NOW, &trigger, &limits())
            .unwrap()
            .deadline
    };
    assert_eq!(
        deadline(State::Submitted, Trigger::Accepted(Policy::Manual)),
        NOW + 300_000
    );
    assert_eq!(
        deadline(State::Submitted, Trigger::Accepted(Policy::Auto)),
        NOW + 900_000
    );
    assert_eq!(deadline(State::Queued, Trigger::Claimed), NOW + 45_000);
    assert_eq!(deadline(State::Warming, Trigger::FirstFrame), NOW + 15_000);
    let admitted = admit(submission(), NOW, &room(), &limits()).unwrap();
    assert_eq!(admitted.deadline, NOW + 120_000);
}

#[test]
fn a_deadline_that_has_not_come_ends_nothing() {
    let early = Moment {
        deadline: NOW + 1,
        ..moment(State::Queued)
    };
    assert!(next(&early, NOW, &Trigger::Deadline, &limits()).is_err());
    assert_eq!(due(&early, NOW, None, &limits()), None);
}

#[test]
fn a_completed_moment_begins_the_pause() {
    let step = next(
        &moment(State::Active),
        NOW,
        &Trigger::DurationReached,
        &limits(),
    )
    .unwrap();
    assert_eq!(step.pause_until, Some(NOW + 7000));
}

#[test]
fn a_receipt_up_to_an_hour_late_revives_an_unpaid_moment_and_no_other() {
    let expired = |ended, reason| Moment {
        ended_at: Some(NOW - ended),
        reason: Some(reason),
        ..moment(State::Expired)
    };
    let paid = |moment: &Moment| next(moment, NOW, &Trigger::Accepted(Policy::Auto), &limits());
    let step = paid(&expired(3_600_000, Reason::NotPaid)).unwrap();
    assert_eq!((step.to, step.ended_at), (State::Queued, None));
    let late = paid(&expired(3_600_001, Reason::NotPaid));
    assert!(matches!(late, Err(Refused::TooLate { .. })), "{late:?}");
    let other = paid(&expired(1, Reason::NotReviewed));
    assert!(
        matches!(other, Err(Refused::NotAllowed { .. })),
        "{other:?}"
    );
}

#[test]
fn a_receipt_is_for_one_moment() {
    let right = Receipt {
        source: "bits".into(),
        transaction_id: "t".into(),
        channel: "c".into(),
        moment: Some(MomentId::new("m")),
        user_id: "77".into(),
        sku: "short".into(),
        amount: 100,
        raw: String::new(),
    };
    let moment = moment(State::Submitted);
    assert_eq!(check_receipt(&moment, &right), Ok(()));
    let wrong = [
        (
            "channel",
            Receipt {
                channel: "d".into(),
                ..right.clone()
            },
        ),
        (
            "source",
            Receipt {
                source: "credit".into(),
                ..right.clone()
            },
        ),
        (
            "user",
            Receipt {
                user_id: "78".into(),
                ..right.clone()
            },
        ),
        (
            "sku",
            Receipt {
                sku: "long".into(),
                ..right.clone()
            },
        ),
        (
            "amount",
            Receipt {
                amount: 99,
                ..right.clone()
            },
        ),
    ];
    for (what, receipt) in wrong {
        let refused = check_receipt(&moment, &receipt).unwrap_err().to_string();
        assert!(refused.contains(what), "{refused}");
    }
}

#[test]
fn a_request_is_refused_before_anything_is_paid() {
    let try_in = |room: Room, submission: Submission| {
        admit(submission, NOW, &room, &limits()).map_err(|refused| refused.to_string())
    };
    assert_eq!(try_in(room(), submission()).unwrap().prompt, "rain");
    let full = limits().queue_max;
    let rooms = [
        (
            "takes no moments",
            Room {
                policy: Policy::Off,
                ..room()
            },
        ),
        (
            "paused",
            Room {
                paused: true,
                ..room()
            },
        ),
        (
            "yours until 5,",
            Room {
                banned: Some(Some(5)),
                ..room()
            },
        ),
        (
            "offline",
            Room {
                online: false,
                ..room()
            },
        ),
        (
            "not paid yet",
            Room {
                open: Some("other".into()),
                ..room()
            },
        ),
        (
            "full",
            Room {
                waiting: full,
                ..room()
            },
        ),
        (
            "can be asked for at 1029999",
            Room {
                latest: Some(NOW - 1),
                ..room()
            },
        ),
        (
            "this channel does not take",
            Room {
                blocklist: Blocklist::new(["RAIN"]).unwrap(),
                ..room()
            },
        ),
    ];
    for (words, room) in rooms {
        let refused = try_in(room, submission()).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    let submissions = [
        (
            "prompt is empty",
            Submission {
                prompt: " ".into(),
                ..submission()
            },
        ),
        (
            "in other words",
            Submission {
                prompt: "what the fuck".into(),
                ..submission()
            },
        ),
        (
            "duration",
            Submission {
                duration: 999,
                ..submission()
            },
        ),
        (
            "price",
            Submission {
                price: 0,
                ..submission()
            },
        ),
        (
            "price",
            Submission {
                source: Source::Free,
                ..submission()
            },
        ),
    ];
    for (words, submission) in submissions {
        let refused = try_in(room(), submission).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn the_streamers_own_moment_is_taken_while_viewers_are_not() {
    let own = Submission {
        source: Source::Streamer,
        price: 0,
        ..submission()
    };
    let closed = Room {
        policy: Policy::Off,
        paused: true,
        banned: Some(None),
        latest: Some(NOW),
        ..room()
    };
    assert!(admit(own, NOW, &closed, &limits()).is_ok());
}

#[test]
fn a_queue_expires_once_its_stream_was_offline_for_a_minute() {
    let queued = Moment {
        deadline: NOW + 900_000,
        updated_at: NOW - 90_000,
        ..moment(State::Queued)
    };
    let due = |moment: &Moment, offline| due(moment, NOW, offline, &limits());
    assert_eq!(due(&queued, None), None);
    assert_eq!(due(&queued, Some(NOW - 59_999)), None);
    assert_eq!(
        due(&queued, Some(NOW - 60_000)),
        Some(Trigger::StreamOffline)
    );
    let fresh = Moment {
        updated_at: NOW - 1,
        ..queued
    };
    assert_eq!(due(&fresh, Some(0)), None);
}

#[test]
fn a_node_last_heard_after_the_end_has_shown_it_all() {
    let active = |lease_until| Moment {
        started_at: Some(NOW - 20_000),
        lease_until,
        ..moment(State::Active)
    };
    let due = |lease_until| due(&active(lease_until), NOW, None, &limits());
    assert_eq!(due(NOW), Some(Trigger::DurationReached));
    assert_eq!(due(NOW - 1), Some(Trigger::LeaseLost));
    // Its node lives, but does not end it.
    assert_eq!(due(NOW + 1), Some(Trigger::Deadline));
}

#[test]
fn chat_hears_of_a_moment_when_it_is_seen() {
    assert_eq!(notices(&moment(State::Queued)), [Notice::Poke]);
    let seen = notices(&moment(State::Active));
    assert_eq!(seen, [Notice::Poke, Notice::Chat { kind: "active" }]);
}
