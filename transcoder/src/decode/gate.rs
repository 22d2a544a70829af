//! Lets nothing through that a decoder cannot start with; no clock.

/// What becomes of a unit at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through.
    Pass,
    /// It is dropped.
    Drop {
        /// Whether a keyframe has to be asked for, which is said once until one comes.
        ask: bool,
    },
}

/// Closed until a keyframe comes, and again after every loss.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    open: bool,
    asked: bool,
}

impl Gate {
    /// A closed gate that has not asked for anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges the next unit; a keyframe opens the gate.
    pub fn admit(&mut self, keyframe: bool) -> Verdict {
        if keyframe {
            *self = Self {
                open: true,
                asked: false,
            };
        }
        if self.open {
            Verdict::Pass
        } else {
            Verdict::Drop { ask: self.ask() }
        }
    }

    /// Closes after a loss or a decoder error. True if a keyframe has to be asked for now.
    #[must_use]
    pub fn close(&mut self) -> bool {
        self.open = false;
        self.ask()
    }

    /// Closes without asking: whoever feeds the gate again starts with a keyframe or is asked then.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.asked, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_before_a_keyframe_and_one_is_asked_for_once() {
        let mut gate = Gate::new();
        assert_eq!(gate.admit(false), Verdict::Drop { ask: true });
        assert_eq!(gate.admit(false), Verdict::Drop { ask: false });
        assert_eq!(gate.admit(true), Verdict::Pass);
        assert_eq!(gate.admit(false), Verdict::Pass);
    }

    #[test]
    fn every_loss_closes_it_and_asks_once() {
        let mut gate = Gate::new();
        gate.admit(true);
        assert!(gate.close());
        assert!(!gate.close());
        assert_eq!(gate.admit(false), Verdict::Drop { ask: false });
        gate.admit(true);
        assert!(gate.close());
    }

    #[test]
    fn a_reset_asks_only_when_fed_again() {
        let mut gate = Gate::new();
        gate.admit(true);
        gate.reset();
        assert_eq!(gate.admit(false), Verdict::Drop { ask: true });
    }
}
