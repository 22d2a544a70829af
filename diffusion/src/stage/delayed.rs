//! Which frame a picture belongs to that comes out some frames later.

use std::collections::VecDeque;

/// Frames that went in and whose pictures have not come out.
#[derive(Debug)]
pub(super) struct Delayed<T>(VecDeque<T>);

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Delayed<T> {
    /// Takes the newest frame and gives the one that is `delay` older; `None` while there is none so old. When the
    /// delay has become shorter the frames in between are left out.
    pub(super) fn swap(&mut self, newest: T, delay: usize) -> Option<T> {
        self.0.push_back(newest);
        let mut due = None;
        while self.0.len() > delay {
            due = self.0.pop_front();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_after_the_delay_and_order_is_kept_when_it_changes() {
        let mut delayed = Delayed::default();
        let mut seen = Vec::new();
        for (frame, delay) in [
            (1, 2),
            (2, 2),
            (3, 2),
            (4, 2),
            (5, 0),
            (6, 0),
            (7, 1),
            (8, 1),
        ] {
            seen.push(delayed.swap(frame, delay));
        }
        let expected = [
            None,
            None,
            Some(1),
            Some(2),
            Some(5),
            Some(6),
            None,
            Some(7),
        ];
        assert_eq!(seen, expected);
    }
}
