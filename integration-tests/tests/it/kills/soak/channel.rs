//! One channel of the soak: its publisher, and those who ask for moments, pay them, review them and change their minds.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use reverie_integration_tests::camera::Camera;
use reverie_integration_tests::http::Answer;
use reverie_moments::life::State;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::super::{Api, Asked, World};
use super::{Bases, Random};

/// How long a request may be refused or find nobody before it is a failure of the test.
const PERSISTENCE: Duration = Duration::from_secs(120);
/// The pause before something is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Moments of all channels.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) moments: usize,
    pub(super) channels: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) broadcaster: String,
    n: usize,
}

impl Channel {
    pub(super) fn new(n: usize) -> Self {
        Self {
            name: format!("c{n}"),
            broadcaster: format!("{}", 5000 + n),
            n,
        }
    }

    /// Whether a moderator looks at each moment.
    pub(super) fn is_reviewed(&self) -> bool {
        self.n % 2 == 1
    }

    /// Publishes for ever: after a kill on the same server once it is there again, or on the next one at once.
    pub(super) async fn publish(self: Arc<Self>, mut bases: Bases) {
        let mut slot = self.n;
        loop {
            let servers = bases.borrow().len();
            slot %= servers;
            let base = bases.borrow()[slot].clone();
            let Some(base) = base else {
                if self.n.is_multiple_of(3) && servers > 1 {
                    slot += 1;
                } else if bases.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let url = format!("{base}/whip/{}", self.name);
            let gone = bases.wait_for(|bases| bases[slot].as_ref() != Some(&base));
            let published = async {
                let camera = Camera::publish(&url).await;
                if camera.is_ok() {
                    std::future::pending::<()>().await;
                }
                // Refused, or killed under way.
                sleep(PAUSE).await;
            };
            tokio::select! {
                gone = gone => {
                    if gone.is_err() {
                        return;
                    }
                }
                () = published => {}
            }
        }
    }

    /// Asks for this channel's moments, each once it is released.
    pub(super) async fn ask_all(
        self: Arc<Self>,
        world: Arc<World>,
        bases: Bases,
        mut released: watch::Receiver<usize>,
        share: Share,
    ) -> Result<()> {
        let mut random = Random(self.n as u64);
        for n in (self.n..share.moments).step_by(share.channels) {
            released.wait_for(|released| n < *released).await?;
            let viewer = Viewer {
                channel: &self,
                world: &world,
                bases: &bases,
            };
            viewer.bring(n, &mut random).await?;
        }
        Ok(())
    }
}

/// What is asked until it is granted.
#[derive(Clone, Copy)]
enum Request<'a> {
    Ask(&'a str),
    Pay(&'a Asked, &'a str),
}

struct Viewer<'a> {
    channel: &'a Channel,
    world: &'a World,
    bases: &'a Bases,
}

impl Viewer<'_> {
    /// One moment from the request to what comes after its payment.
    async fn bring(&self, n: usize, random: &mut Random) -> Result<()> {
        let prompt = format!("wish {n}");
        let asked = self.insist(random, Request::Ask(&prompt)).await?;
        let asked = Asked::of(&asked.json())?;
        let receipt = self.world.pay(&self.channel.broadcaster, "short").await?;
        // Paid, and paid again: an answer may have been lost.
        for _ in 0..2 {
            let paid = self.insist(random, Request::Pay(&asked, &receipt)).await?;
            let word = paid.json()["paid"].clone();
            if word != "accepted" && word != "repeated" {
                bail!("{prompt}: {paid:?}");
            }
        }
        let rejected = self.channel.is_reviewed() && random.below(8) == 0;
        if self.channel.is_reviewed() {
            let act = if rejected { "reject" } else { "approve" };
            self.decide(random, &asked.id, act).await?;
        }
        match random.below(10) {
            // As they are, or not any more: then it is refused.
            0 => self.try_once(random, &asked.id, "cancel").await,
            1 => self.try_once(random, &asked.id, "stop").await,
            _ => {}
        }
        Ok(())
    }

    /// Lets a moderator decide until it is decided.
    async fn decide(&self, random: &mut Random, id: &str, act: &str) -> Result<()> {
        let deadline = Instant::now() + PERSISTENCE;
        loop {
            self.try_once(random, id, act).await;
            if self.world.moment(id).await?.state != State::PendingApproval {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{id} cannot be decided");
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_once(&self, random: &mut Random, id: &str, act: &str) {
        if let Some(api) = self.any(random) {
            // Refused, or its server is killed.
            let _ = api.act(id, act).await;
        }
    }

    /// Asks one server after the other until one grants it.
    async fn insist(&self, random: &mut Random, request: Request<'_>) -> Result<Answer> {
        let deadline = Instant::now() + PERSISTENCE;
        let mut last = None;
        loop {
            if let Some(api) = self.any(random) {
                match self.send(&api, request).await {
                    Ok(answer) if answer.status.is_success() => return Ok(answer),
                    other => last = Some(other),
                }
            }
            if Instant::now() > deadline {
                return last
                    .context("no server is there")?
                    .and_then(|answer| bail!("refused for {PERSISTENCE:?}: {answer:?}"));
            }
            sleep(PAUSE).await;
        }
    }

    async fn send(&self, api: &Api, request: Request<'_>) -> Result<Answer> {
        match request {
            Request::Ask(prompt) => api.ask(&self.channel.name, "short", prompt).await,
            Request::Pay(asked, receipt) => api.give(asked, receipt).await,
        }
    }

    fn any(&self, random: &mut Random) -> Option<Api> {
        let bases = self.bases.borrow();
        let up: Vec<_> = bases.iter().flatten().collect();
        let base = up.get(usize::try_from(random.below(up.len() as u64)).ok()?)?;
        Some(Api {
            base: (*base).clone(),
        })
    }
}
