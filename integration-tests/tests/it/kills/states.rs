//! One kill that finds a moment in each of the ten states.

use anyhow::{Result, ensure};
use reverie_moments::life::{Moment, Policy, State};

use super::{Api, Asked, Seat, World};

/// Every state, in a channel of its own that is called like it.
const STATES: [State; 10] = State::ALL;

fn broadcaster(state: State) -> String {
    let place = STATES.iter().position(|other| *other == state);
    format!("{}", 1000 + place.unwrap_or(STATES.len()))
}

/// What the test remembers of before the kill.
struct Before {
    moments: Vec<Moment>,
    unpaid: Asked,
    receipt: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_every_state_of_a_moment_loses_none_on_postgres() -> Result<()> {
    survive(World::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_every_state_of_a_moment_loses_none_on_sqlite() -> Result<()> {
    survive(World::sqlite().await?).await
}

async fn survive(mut world: World) -> Result<()> {
    world.set("MOMENTS__PAYMENT_TIMEOUT_S", "10");
    for state in STATES {
        let policy = match state {
            State::PendingApproval | State::Rejected => Policy::Manual,
            _ => Policy::Auto,
        };
        let (channel, broadcaster) = (state.as_str(), broadcaster(state));
        world.channel(channel, &broadcaster, policy).await?;
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut cameras = Vec::new();
    for state in STATES {
        cameras.push(api.live(&world, state.as_str()).await?);
    }
    let warming = STATES.iter().position(|state| *state == State::Warming);
    // Nothing can be transformed where nothing is seen.
    cameras[warming.unwrap_or(0)].cover(true);
    let before = arrange(&world, &api).await?;
    server.kill().await?;
    drop(cameras);

    // Nothing of it was in the process alone.
    for moment in &before.moments {
        let kept = world.moment(moment.id.as_str()).await?;
        let kept = Moment {
            lease_until: moment.lease_until,
            ..kept
        };
        ensure!(kept == *moment, "{kept:?} was {moment:?}");
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut cameras = Vec::new();
    for state in STATES {
        cameras.push(api.camera(state.as_str()).await?);
    }
    go_on(&world, &api, &before).await?;
    check(&world, &before).await?;
    drop(cameras);
    server.terminate().await?;
    Ok(())
}

/// Brings a moment into each state, and proves by the database that it is there.
async fn arrange(world: &World, api: &Api) -> Result<Before> {
    let mut ids = Vec::new();
    // That one comes last, so that it is not expired at the kill.
    for state in STATES.into_iter().filter(|s| *s != State::Submitted) {
        let broadcaster = broadcaster(state);
        let seat = Seat {
            channel: state.as_str(),
            broadcaster: &broadcaster,
        };
        let (channel, prompt) = (seat.channel, state.as_str());
        let id = match state {
            State::Expired => api.submit(channel, "short", prompt).await?.id,
            State::Active | State::Failed => api.paid(world, seat, "long", prompt).await?,
            State::Queued | State::Cancelled => api.held(world, seat, "short", prompt).await?,
            _ => api.paid(world, seat, "short", prompt).await?,
        };
        match state {
            State::Rejected => drop(api.act(&id, "reject").await?),
            State::Cancelled => drop(api.act(&id, "cancel").await?),
            State::Failed => {
                world.until_state(&id, State::Active).await?;
                api.act(&id, "stop").await?;
            }
            _ => {}
        }
        ids.push((id, state));
    }
    for (id, state) in &ids {
        world.until_state(id, *state).await?;
    }
    let channel = State::Submitted.as_str();
    let unpaid = api.submit(channel, "short", channel).await?;
    ids.insert(0, (unpaid.id.clone(), State::Submitted));
    // What was on its way would be repeated, and is the matter of another test.
    let open = "SELECT COUNT(*) FROM outbox WHERE kind = 'chat' AND done_at IS NULL";
    world.count_until(open, 0).await?;
    let mut moments = Vec::new();
    for (id, state) in &ids {
        moments.push(world.until_state(id, *state).await?);
    }
    Ok(Before {
        moments,
        unpaid,
        receipt: world.pay(&broadcaster(State::Submitted), "short").await?,
    })
}

/// Lets each of them go on from where it was.
async fn go_on(world: &World, api: &Api, before: &Before) -> Result<()> {
    let answer = api.give(&before.unpaid, &before.receipt).await?;
    ensure!(answer.json()["paid"] == "accepted", "{answer:?}");
    let again = api.give(&before.unpaid, &before.receipt).await?;
    ensure!(again.json()["paid"] == "repeated", "{again:?}");
    api.queue(State::Queued.as_str(), "resume").await?;
    for moment in &before.moments {
        let id = moment.id.as_str();
        match moment.state {
            State::PendingApproval => drop(api.act(id, "approve").await?),
            State::Active => drop(world.until_state(id, State::Failed).await?),
            _ => {}
        }
        if !moment.state.is_ended() && moment.state != State::Active {
            world.until_state(id, State::Completed).await?;
        }
    }
    Ok(())
}

async fn check(world: &World, before: &Before) -> Result<()> {
    let channels: Vec<_> = STATES.iter().map(|state| state.as_str()).collect();
    let ends = world.check_logs(&channels).await?;
    ensure!(ends.len() == STATES.len(), "{ends:?}");
    for was in &before.moments {
        let is = world.moment(was.id.as_str()).await?;
        if was.state.is_ended() {
            ensure!(is == *was, "what has ended is left alone: {is:?}");
        }
        // One kill costs one attempt, however many a slow machine had cost before.
        let attempts = was.attempts + i64::from(was.state == State::Warming);
        ensure!(is.attempts == attempts, "{is:?} was {was:?}");
    }
    // Active when it was killed, failed, rejected, cancelled.
    ensure!(world.check_credits().await? == 4);
    ensure!(world.count("SELECT COUNT(*) FROM receipts").await? == 9);
    // What was seen is told, once: the process had long sent what it had to when it was killed.
    world.hurry_mail().await?;
    for state in [
        State::Submitted,
        State::PendingApproval,
        State::Queued,
        State::Warming,
        State::Active,
        State::Completed,
        State::Failed,
    ] {
        let prompt = state.as_str();
        world.lines_until(prompt, 1).await?;
    }
    for state in [State::Rejected, State::Expired, State::Cancelled] {
        ensure!(
            world.lines(state.as_str()) == 0,
            "{state} was never seen, and told"
        );
    }
    Ok(())
}
