//! The sockets there are: how many, and which one takes the place of another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::super::problem::Problem;
use crate::session::random_name;

/// Sockets that have not said yet who they are.
const WAITING: usize = 256;
/// Sockets of one channel: a bridge, and more moderators than look at one stream. Those who only look have as many for
/// themselves, so that they take no moderator's place.
const PER_CHANNEL: usize = 32;
/// How long the one before may take to finish what it is at.
const SUCCESSION: Duration = Duration::from_secs(8);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sockets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Arc<Semaphore>,
    known: Mutex<HashMap<String, Known>>,
    /// All that are open.
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct Known {
    channel: String,
    decides: bool,
    replaced: Arc<watch::Sender<bool>>,
}

/// A socket from its request until its end.
#[derive(Debug)]
pub(super) struct Arrived {
    sockets: Sockets,
    waiting: Option<OwnedSemaphorePermit>,
}

/// A socket's place in its channel.
#[derive(Debug)]
pub(super) struct Place {
    sockets: Sockets,
    /// What it is called; nobody but its client is told.
    pub(super) id: String,
    /// Turns true when another one takes its place. Whoever waits for that waits until this is dropped.
    pub(super) replaced: watch::Receiver<bool>,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            waiting: Arc::new(Semaphore::new(WAITING)),
            known: Mutex::default(),
            count: watch::Sender::new(0),
        }))
    }

    /// Returns when there is none, or after `grace`.
    pub(crate) async fn over(&self, grace: Duration) {
        let mut count = self.0.count.subscribe();
        let none = count.wait_for(|count| *count == 0);
        let _ = tokio::time::timeout(grace, none).await;
    }

    /// A socket that has yet to say who it is.
    pub(super) fn arrive(&self) -> Result<Arrived, Problem> {
        let waiting = self.0.waiting.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_| {
            Problem::Busy("too many sockets have not said yet who they are".to_owned())
        })?;
        self.0.count.send_modify(|count| *count += 1);
        Ok(Arrived {
            sockets: self.clone(),
            waiting: Some(waiting),
        })
    }

    /// Ends the socket of that name and returns once nothing of it is carried out any more.
    pub(super) async fn replace(&self, channel: &str, id: &str) -> Result<(), Problem> {
        let before = {
            let all = lock(&self.0);
            let known = all.get(id).filter(|known| known.channel == channel);
            known.map(|known| known.replaced.clone())
        };
        let Some(before) = before else {
            return Ok(());
        };
        before.send_replace(true);
        let over = tokio::time::timeout(SUCCESSION, before.closed()).await;
        over.map_err(|_| Problem::Busy("the socket before this one is still at work".to_owned()))
    }

    /// Gives a socket its place, if the channel has one for who decides, or for who only looks.
    pub(super) fn enter(
        &self,
        channel: &str,
        decides: bool,
        arrived: &mut Arrived,
    ) -> Result<Place, Problem> {
        let id = random_name(16)?;
        let (replaced, told) = watch::channel(false);
        let mut all = lock(&self.0);
        let alike = |known: &&Known| known.channel == channel && known.decides == decides;
        let there = all.values().filter(alike);
        if there.count() >= PER_CHANNEL {
            return Err(Problem::Busy(format!(
                "channel {channel:?} has as many sockets as it may have: {PER_CHANNEL}"
            )));
        }
        let known = Known {
            channel: channel.to_owned(),
            decides,
            replaced: Arc::new(replaced),
        };
        all.insert(id.clone(), known);
        arrived.waiting = None;
        Ok(Place {
            sockets: self.clone(),
            id,
            replaced: told,
        })
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.sockets.0.count.send_modify(|count| *count -= 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.sockets.0).remove(&self.id);
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, HashMap<String, Known>> {
    // Nothing is computed under the lock, so a poisoned one is still whole.
    shared.known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_another_once_that_one_is_over() {
        let sockets = Sockets::new();
        let mut arrived = sockets.arrive().unwrap();
        let before = sockets.enter("a", true, &mut arrived).unwrap();
        let id = before.id.clone();
        assert_eq!(sockets.replace("b", &id).await, Ok(()), "another channel's");
        assert!(!*before.replaced.borrow());
        let mut told = before.replaced.clone();
        let replacing = tokio::spawn({
            let (sockets, id) = (sockets.clone(), id.clone());
            async move { sockets.replace("a", &id).await }
        });
        told.changed().await.unwrap();
        assert!(!replacing.is_finished(), "it waits for the one before");
        drop((told, before));
        assert_eq!(replacing.await.unwrap(), Ok(()));
        assert_eq!(sockets.replace("a", &id).await, Ok(()), "it is forgotten");
        drop(arrived);
        sockets.over(SUCCESSION).await;
        assert_eq!(*sockets.0.count.borrow(), 0);
    }

    #[test]
    fn a_channel_has_so_many_sockets_for_its_moderators_and_for_others_and_another_one_its_own() {
        let sockets = Sockets::new();
        let mut arrived = sockets.arrive().unwrap();
        let mut enter = |channel, decides| sockets.enter(channel, decides, &mut arrived);
        let mut places: Vec<_> = (0..PER_CHANNEL)
            .map(|_| enter("a", false).unwrap())
            .collect();
        assert_eq!(enter("a", false).unwrap_err().status(), 503);
        enter("a", true).unwrap();
        enter("b", false).unwrap();
        places.pop();
        enter("a", false).unwrap();
    }

    #[test]
    fn those_who_do_not_say_who_they_are_are_few() {
        let sockets = Sockets::new();
        let waiting: Vec<_> = (0..WAITING).map(|_| sockets.arrive().unwrap()).collect();
        assert_eq!(sockets.arrive().unwrap_err().status(), 503);
        drop(waiting);
        assert_eq!(*sockets.0.count.borrow(), 0);
    }
}
