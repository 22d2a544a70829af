//! The names of viewers, as Twitch shows them. Whatever Twitch does, a name is there within two seconds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::app_token::App;
use super::helix::Fault;

/// What somebody is called whose name is not known.
pub(crate) const ANONYMOUS: &str = "Anonymous";

/// How long a name is believed.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How many names are kept.
const KEPT: usize = 10_000;
/// How long a viewer waits for their name.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long Twitch is not asked after it had no answer: the next viewers wait for nothing.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest name, in characters.
const MAX_CHARS: usize = 64;

/// Asks for names and keeps them.
#[derive(Debug)]
pub(crate) struct Names {
    app: Arc<App>,
    kept: Mutex<Kept>,
}

/// What is kept, oldest first.
#[derive(Debug, Default)]
struct Kept {
    names: HashMap<String, (Instant, String)>,
    order: VecDeque<(Instant, String)>,
    paused_until: Option<Instant>,
}

#[derive(Deserialize)]
struct Users {
    data: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    display_name: String,
}

impl Names {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            kept: Mutex::default(),
        }
    }

    /// The name of the user with this id.
    pub(crate) async fn of(&self, user_id: &str) -> String {
        let now = Instant::now();
        {
            let kept = self.lock();
            if let Some(name) = kept.name(user_id, now) {
                return name;
            }
            if kept.is_paused(now) {
                return ANONYMOUS.to_owned();
            }
        }
        let asked = tokio::time::timeout(PATIENCE, self.ask(user_id)).await;
        let mut kept = self.lock();
        match asked {
            Ok(Ok(Some(name))) => {
                kept.keep(user_id, &name, now);
                name
            }
            Ok(Ok(None)) => ANONYMOUS.to_owned(),
            Ok(Err(fault)) => {
                tracing::info!(%fault, "a viewer's name is not known");
                let pause = match fault {
                    Fault::Wait(wait) => wait.max(PAUSE),
                    _ => PAUSE,
                };
                kept.paused_until = Some(now + pause);
                ANONYMOUS.to_owned()
            }
            Err(_) => {
                kept.paused_until = Some(now + PAUSE);
                ANONYMOUS.to_owned()
            }
        }
    }

    /// `None` where there is no such user.
    async fn ask(&self, user_id: &str) -> Result<Option<String>, Fault> {
        let users: Users = self
            .app
            .ask("users", |helix| {
                helix
                    .client
                    .get(helix.url("users"))
                    .query(&[("id", user_id)])
            })
            .await?;
        let user = users.data.into_iter().next();
        let name = user.map(|user| {
            user.display_name
                .chars()
                .take(MAX_CHARS)
                .collect::<String>()
        });
        Ok(name.filter(|name| !name.is_empty()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // At worst a name is asked for again.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn name(&self, user_id: &str, now: Instant) -> Option<String> {
        let (since, name) = self.names.get(user_id)?;
        (now.duration_since(*since) < LIFE).then(|| name.clone())
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    fn keep(&mut self, user_id: &str, name: &str, now: Instant) {
        self.names
            .insert(user_id.to_owned(), (now, name.to_owned()));
        self.order.push_back((now, user_id.to_owned()));
        while self.order.len() > KEPT {
            let Some((since, id)) = self.order.pop_front() else {
                break;
            };
            // One that was asked for again since then stays.
            if self.names.get(&id).is_some_and(|(at, _)| *at == since) {
                self.names.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_believed_for_a_day() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        kept.keep("7", "Ann", now);
        assert_eq!(kept.name("7", now + LIFE / 2).as_deref(), Some("Ann"));
        assert_eq!(kept.name("7", now + LIFE), None);
        assert_eq!(kept.name("8", now), None);
    }

    #[test]
    fn the_oldest_names_make_room() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for n in 0..KEPT + 5 {
            kept.keep(&n.to_string(), "x", now + Duration::from_nanos(n as u64));
        }
        assert_eq!((kept.names.len(), kept.order.len()), (KEPT, KEPT));
        assert_eq!(kept.name("4", now), None);
        assert!(kept.name("5", now).is_some());
    }
}
