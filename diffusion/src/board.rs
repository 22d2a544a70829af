//! Where a stage writes what it cannot say in an answer: how far loading is, how a reload ended, what it skipped.
//!
//! One board per loaded pipeline. The stage, or a thread that loads for it, writes; whoever watches it reads now and then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::params::Params;

/// Notes that wait for the reader; reloads take seconds, so it never comes to that.
const NOTES: usize = 16;

/// Something is being loaded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reload {
    /// The parameters that ask for it; empty when nothing was loaded before.
    pub fields: Vec<String>,
    /// What is being loaded now, for example `unet`.
    pub part: String,
    /// How much is done, 0..=1.
    pub done: f64,
}

/// How loading other parameters ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// These are in force now.
    Reloaded(Box<Params>),
    /// What was there goes on.
    FellBack {
        /// What is in force.
        params: Box<Params>,
        /// Why, for people.
        reason: String,
    },
}

/// What stands on a board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Posted {
    /// What is being loaded.
    pub reload: Option<Reload>,
    /// Frames that were not computed, since they hardly differ from the one before.
    pub skipped: u64,
    /// Frames since it was last read that should have been computed from a recording and were not.
    pub unrecorded: u64,
    /// The picture for a frame comes so many frames later.
    pub delay: u32,
    /// What came to an end since it was last read, in order.
    pub notes: Vec<Note>,
}

/// See the module. Clones are of the same board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    reload: Option<Reload>,
    skipped: u64,
    unrecorded: u64,
    delay: u32,
    notes: VecDeque<Note>,
}

impl Board {
    /// Loading has come so far. `fields` are those of [`crate::params::Plan::reload`], empty for the first load.
    pub fn loading(&self, fields: &[String], part: &str, done: f64) {
        self.lock().reload = Some(Reload {
            fields: fields.to_vec(),
            part: part.to_owned(),
            done: done.clamp(0.0, 1.0),
        });
    }

    /// Loading is over and these parameters are in force.
    pub fn reloaded(&self, params: &Params) {
        self.lock().note(Note::Reloaded(Box::new(params.clone())));
    }

    /// Loading failed, and these parameters go on.
    pub fn fell_back(&self, params: &Params, reason: impl Into<String>) {
        let params = Box::new(params.clone());
        let reason = reason.into();
        self.lock().note(Note::FellBack { params, reason });
    }

    /// A frame was answered with the picture before.
    pub fn skipped(&self) {
        self.lock().skipped += 1;
    }

    /// A frame should have been computed from a recording and was not.
    pub fn unrecorded(&self) {
        self.lock().unrecorded += 1;
    }

    /// The picture for a frame comes so many frames later.
    pub fn delayed(&self, frames: u32) {
        self.lock().delay = frames;
    }

    /// Reads everything and takes the notes down.
    #[must_use]
    pub fn read(&self) -> Posted {
        let mut inner = self.lock();
        Posted {
            reload: inner.reload.clone(),
            skipped: inner.skipped,
            unrecorded: std::mem::take(&mut inner.unrecorded),
            delay: inner.delay,
            notes: inner.notes.drain(..).collect(),
        }
    }

    /// Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, note: Note) {
        self.reload = None;
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_writes_is_read_once_in_order() {
        let board = Board::default();
        let stage = board.clone();
        stage.loading(&["width".to_owned()], "unet", 0.25);
        stage.skipped();
        stage.unrecorded();
        stage.delayed(2);
        let posted = board.read();
        assert_eq!((posted.unrecorded, board.read().unrecorded), (1, 0));
        assert_eq!(
            posted.reload.map(|r| (r.part, r.done)),
            Some(("unet".to_owned(), 0.25))
        );
        assert_eq!(
            (posted.skipped, posted.delay, posted.notes.len()),
            (1, 2, 0)
        );

        stage.fell_back(&Params::default(), "no such file");
        stage.reloaded(&Params::default());
        let posted = board.read();
        assert_eq!(posted.reload, None);
        assert!(matches!(
            posted.notes[..],
            [Note::FellBack { .. }, Note::Reloaded(_)]
        ));
        assert!(board.read().notes.is_empty());
        assert_eq!(board.read().skipped, 1);
    }
}
