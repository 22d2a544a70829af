//! A named thread on which one element is built, driven and dropped.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// What a worker tells about itself, on its own thread.
#[derive(Debug)]
pub enum Report<E> {
    /// The element is built.
    Ready,
    /// The thread is about to end. `Panicked` carries the message of the panic.
    Ended(Result<(), Ending<E>>),
}

/// Why a worker ended before it was asked to.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending<E> {
    /// Building or driving the element failed.
    Failed(E),
    /// It panicked with this message.
    Panicked(String),
}

/// A running thread; dropping it joins the thread, so whatever it waits for must be closed before.
#[derive(Debug)]
pub struct Worker {
    name: String,
    thread: Option<JoinHandle<()>>,
    /// Never sent on: it disconnects when the thread is done. The lock only makes it `Sync`.
    done: Mutex<Receiver<()>>,
}

impl Worker {
    /// Starts a thread called `name` that builds an element, reports [`Report::Ready`], drives the
    /// element until `drive` returns, drops it, and reports [`Report::Ended`] in every case.
    ///
    /// # Errors
    /// When the system has no more threads; nothing is reported then.
    pub fn spawn<T, E>(
        name: String,
        build: impl FnOnce() -> Result<T, E> + Send + 'static,
        drive: impl FnOnce(T) -> Result<(), E> + Send + 'static,
        mut report: impl FnMut(Report<E>) + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, done) = channel();
        let body = move || {
            let alive: Sender<()> = alive;
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let element = build()?;
                report(Report::Ready);
                drive(element)
            }));
            report(Report::Ended(match ended {
                Ok(result) => result.map_err(Ending::Failed),
                Err(panic) => Err(Ending::Panicked(message(&*panic))),
            }));
            drop(report);
            drop(alive);
        };
        let thread = Builder::new().name(name.clone()).spawn(body)?;
        Ok(Self {
            name,
            thread: Some(thread),
            done: Mutex::new(done),
        })
    }

    /// Name of the thread; the system shows its first 15 bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the thread to end, at most `patience`. If it does not, it is left to itself: a
    /// call that does not return cannot be cancelled. True if it ended.
    pub fn join_within(mut self, patience: Duration) -> bool {
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner);
        let ended = done.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if !ended {
            self.thread = None;
        }
        ended
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread catches and reports its panics itself.
            let _ = thread.join();
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::thread;

    use super::*;

    type Reports = Receiver<(String, Report<&'static str>)>;

    fn worker<T>(
        build: impl FnOnce() -> Result<T, &'static str> + Send + 'static,
        drive: impl FnOnce(T) -> Result<(), &'static str> + Send + 'static,
    ) -> (Worker, Reports) {
        let (sender, reports) = channel();
        let worker = Worker::spawn("test:worker".into(), build, drive, move |report| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            sender.send((name, report)).unwrap();
        });
        (worker.unwrap(), reports)
    }

    fn ending(reports: &Reports) -> Result<(), Ending<&'static str>> {
        match reports.recv().unwrap() {
            (_, Report::Ended(ended)) => ended,
            (_, Report::Ready) => ending(reports),
        }
    }

    #[test]
    fn an_element_that_cannot_move_between_threads_lives_on_its_own() {
        let (worker, reports) = worker(
            || Ok(Rc::new(7)),
            |seven| {
                assert_eq!(*seven, 7);
                Ok(())
            },
        );
        let (name, first) = reports.recv().unwrap();
        assert_eq!(name, "test:worker");
        assert!(matches!(first, Report::Ready));
        assert_eq!(ending(&reports), Ok(()));
        assert!(worker.join_within(Duration::from_secs(5)));
    }

    #[test]
    fn an_element_that_cannot_be_built_is_reported_and_never_ready() {
        let (_worker, reports) = worker(|| Err::<(), _>("no"), |()| Ok(()));
        let (_, only) = reports.recv().unwrap();
        assert!(matches!(only, Report::Ended(Err(Ending::Failed("no")))));
        assert!(reports.recv().is_err());
    }

    #[test]
    fn a_panic_is_an_ending_with_its_message() {
        for (panic, expected) in [
            (
                (|| panic!("plain")) as fn() -> Result<(), &'static str>,
                "plain",
            ),
            (|| panic!("number {}", 7), "number 7"),
            (|| std::panic::panic_any(7), "a panic without a message"),
        ] {
            let (_worker, reports) = worker(panic, |()| Ok(()));
            assert_eq!(ending(&reports), Err(Ending::Panicked(expected.into())));
        }
    }

    #[test]
    fn a_thread_that_does_not_end_is_left_behind_after_the_patience() {
        let (release, stuck) = channel::<()>();
        let (worker, reports) = worker(
            || Ok(()),
            move |()| {
                let _ = stuck.recv();
                Ok(())
            },
        );
        assert!(!worker.join_within(Duration::from_millis(10)));
        drop(release);
        assert_eq!(ending(&reports), Ok(()));
    }
}
