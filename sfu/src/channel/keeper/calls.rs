//! Calls of the store, and their answers in the words of [`Holding`](super::holding::Holding).

use std::sync::Arc;
use std::time::Duration;

use reverie_moments::life::Refused;
use reverie_moments::store::{Error, Lease};

use super::super::board::News;
use super::super::director::{Engagement, Look, Run};
use super::super::view::{overlay_of, pipeline_of};
use super::holding::{Call, Claimed, Input};
use super::look::{Reader, run};
use crate::node::{Node, now_ms};

/// The track that a publisher sends.
const SOURCE: &str = "source";

/// What calls are made with.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) channel: String,
    pub(super) node: Arc<Node>,
    /// The stage of moments that name none.
    pub(super) fallback: String,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) call: &'static str,
    pub(super) input: Result<Input, Error>,
    pub(super) news: Option<News>,
    pub(super) reader: Reader,
}

impl Caller {
    /// Makes the call.
    pub(super) async fn make(self, call: Call, mut reader: Reader) -> Answer {
        let name = name(&call);
        let mut news = None;
        let made = match call {
            Call::Look => self.look(&mut reader, &mut news).await,
            Call::Hold => self.hold(&mut reader).await,
            call => self.write(call).await,
        };
        Answer {
            call: name,
            input: made.or_else(known),
            news,
            reader,
        }
    }

    async fn look(&self, reader: &mut Reader, news: &mut Option<News>) -> Result<Input, Error> {
        let (facts, read) = reader.look(&self.node.store, &self.channel).await?;
        *news = read;
        Ok(Input::Looked(facts))
    }

    async fn hold(&self, reader: &mut Reader) -> Result<Input, Error> {
        let (store, channel) = (&self.node.store, &self.channel);
        if !reader.added {
            store.add_channel(now_ms(), channel, None).await?;
            reader.added = true;
        }
        let held = store
            .hold_stream(now_ms(), channel, SOURCE, &self.node.id)
            .await;
        match held {
            Ok(_) => Ok(Input::Held(true)),
            Err(Error::StreamTaken { .. }) => Ok(Input::Held(false)),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, call: Call) -> Result<Input, Error> {
        let store = &self.node.store;
        Ok(match call {
            Call::Release => {
                let held = store.stream(now_ms(), &self.channel, SOURCE).await?;
                // One that is another node's by now stays so.
                if let Some(lease) = held.filter(|lease| lease.node == self.node.id) {
                    store.release_stream(now_ms(), &lease).await?;
                }
                Input::Released
            }
            Call::Claim => {
                let claimed = store.claim(now_ms(), &self.channel, &self.node.id).await?;
                Input::Claimed(claimed.map(|(_, moment)| self.claimed(&moment)))
            }
            Call::Beat(run) => {
                store.heartbeat(now_ms(), &self.lease(&run)).await?;
                Input::Beaten
            }
            Call::Started(run) => match store.started(now_ms(), &self.lease(&run)).await {
                // An answer that was lost: it is active already.
                Ok(_) | Err(Error::Refused(Refused::NotAllowed { .. })) => Input::Started,
                Err(error) => return Err(error),
            },
            Call::Finish(run, outcome) => {
                store.finish(now_ms(), &self.lease(&run), outcome).await?;
                Input::Finished
            }
            Call::Look | Call::Hold => Input::Broken,
        })
    }

    fn claimed(&self, moment: &reverie_moments::life::Moment) -> Claimed {
        Claimed {
            engagement: Engagement {
                run: run(moment),
                pipeline: pipeline_of(moment).unwrap_or_else(|| self.fallback.clone()),
                look: Look {
                    prompt: moment.prompt.clone(),
                    overlay: overlay_of(moment),
                },
            },
            lasts: Duration::from_millis(u64::try_from(moment.duration).unwrap_or(0)),
        }
    }

    fn lease(&self, run: &Run) -> Lease {
        Lease {
            id: run.moment.clone(),
            node: self.node.id.clone(),
            epoch: run.epoch,
        }
    }
}

/// Errors that say something about the moment are answers.
fn known(error: Error) -> Result<Input, Error> {
    match error {
        Error::LeaseLost { .. } | Error::Refused(_) => Ok(Input::Lost),
        error => Err(error),
    }
}

/// For metrics and logs.
fn name(call: &Call) -> &'static str {
    match call {
        Call::Look => "look",
        Call::Hold => "hold",
        Call::Release => "release",
        Call::Claim => "claim",
        Call::Beat(_) => "heartbeat",
        Call::Started(_) => "start",
        Call::Finish(..) => "finish",
    }
}
