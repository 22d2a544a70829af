//! A place for one value between two threads: the newest wins.

#[cfg(all(loom, test))]
use loom::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(all(loom, test)))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// One place. Putting never blocks; taking waits for a value.
#[derive(Debug)]
pub struct Latest<T> {
    place: Mutex<Place<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    nudged: bool,
    closed: bool,
    displaced: u64,
}

/// What a taker gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The newest value.
    Value(T),
    /// Somebody wants the taker to look around; there may be a value next time.
    Nudged,
    /// There will never be a value again.
    Closed,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Latest<T> {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        let place = Place {
            value: None,
            nudged: false,
            closed: false,
            displaced: 0,
        };
        Self {
            place: Mutex::new(place),
            changed: Condvar::new(),
        }
    }

    /// Puts a value. True if an older one that nobody had taken was displaced. After
    /// [`Self::close`] the value is dropped.
    pub fn put(&self, value: T) -> bool {
        let mut place = self.lock();
        if place.closed {
            return false;
        }
        let displaced = place.value.replace(value).is_some();
        place.displaced += u64::from(displaced);
        drop(place);
        self.changed.notify_one();
        displaced
    }

    /// Waits for a value, a nudge or the end. Only one thread may take.
    pub fn take(&self) -> Taken<T> {
        let mut place = self.lock();
        loop {
            if place.closed {
                return Taken::Closed;
            }
            if std::mem::take(&mut place.nudged) {
                return Taken::Nudged;
            }
            if let Some(value) = place.value.take() {
                return Taken::Value(value);
            }
            place = self
                .changed
                .wait(place)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the taker without a value.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_one();
    }

    /// Takes the value away without anybody getting it. True if there was one.
    pub fn clear(&self) -> bool {
        self.lock().value.take().is_some()
    }

    /// Drops the value and wakes the taker for good.
    pub fn close(&self) {
        let mut place = self.lock();
        place.closed = true;
        let value = place.value.take();
        drop(place);
        drop(value);
        self.changed.notify_one();
    }

    /// How many values were displaced so far.
    pub fn displaced(&self) -> u64 {
        self.lock().displaced
    }

    /// No code of others runs under the lock except the drop of a displaced value, which leaves the
    /// place whole: a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Place<T>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(loom, test))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn taken(latest: &Latest<u32>) -> Vec<u32> {
        let mut values = Vec::new();
        loop {
            match latest.take() {
                Taken::Value(value) => values.push(value),
                Taken::Nudged => {}
                Taken::Closed => return values,
            }
        }
    }

    /// A lost wake-up would leave the taker waiting for ever, which loom reports as a deadlock.
    #[test]
    fn latest_wakes_the_taker_and_never_goes_back() {
        loom::model(|| {
            let latest = Arc::new(Latest::new());
            let taker = {
                let latest = Arc::clone(&latest);
                thread::spawn(move || taken(&latest))
            };
            latest.put(1);
            latest.put(2);
            latest.close();
            let values = taker.join().unwrap();
            assert!(
                values.is_sorted_by(|earlier, later| earlier < later),
                "{values:?}"
            );
            assert!(values.len() as u64 + latest.displaced() <= 2);
        });
    }

    #[test]
    fn latest_hands_over_the_last_value_without_a_close() {
        loom::model(|| {
            let latest = Arc::new(Latest::new());
            let putter = {
                let latest = Arc::clone(&latest);
                thread::spawn(move || {
                    latest.put(1);
                    latest.put(2);
                })
            };
            let mut seen = Vec::new();
            while seen.last() != Some(&2) {
                match latest.take() {
                    Taken::Value(value) => seen.push(value),
                    other => panic!("{other:?}"),
                }
            }
            putter.join().unwrap();
            assert_eq!(seen.len() as u64 + latest.displaced(), 2);
        });
    }

    /// Nothing but the nudge, and then nothing but the close, can wake the taker.
    #[test]
    fn latest_is_woken_by_nudge_and_by_close() {
        loom::model(|| {
            let latest = Arc::new(Latest::<u32>::new());
            for (wake, expected) in [
                (Latest::nudge as fn(&Latest<u32>), Taken::Nudged),
                (Latest::close, Taken::Closed),
            ] {
                let taker = {
                    let latest = Arc::clone(&latest);
                    thread::spawn(move || latest.take())
                };
                wake(&latest);
                assert_eq!(taker.join().unwrap(), expected);
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_displaced_ones_are_counted() {
        let latest = Latest::new();
        assert!(!latest.put(1));
        assert!(latest.put(2));
        assert_eq!(latest.take(), Taken::Value(2));
        assert!(!latest.put(3));
        assert_eq!(latest.displaced(), 1);
    }

    #[test]
    fn a_nudge_comes_before_the_value_and_once() {
        let latest = Latest::new();
        latest.put(1);
        latest.nudge();
        latest.nudge();
        assert_eq!(latest.take(), Taken::Nudged);
        assert_eq!(latest.take(), Taken::Value(1));
    }

    #[test]
    fn closing_drops_what_is_there_and_what_comes() {
        let latest = Latest::new();
        latest.put(1);
        latest.close();
        assert!(!latest.put(2));
        assert_eq!(latest.take(), Taken::Closed);
        assert!(!latest.clear());
    }
}
