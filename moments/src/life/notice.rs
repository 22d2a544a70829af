//! What the world outside is told of a change.

use super::{Moment, State};

/// Something to be sent to a service outside, at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A line in the channel's chat that names the moment. Once for a moment and kind.
    Chat {
        /// What it is about, a part of its key.
        kind: &'static str,
    },
    /// Pages should ask for the channel's state. Those not yet sent are merged.
    Poke,
}

/// What to send after a moment came into its present state.
#[must_use]
pub fn notices(moment: &Moment) -> Vec<Notice> {
    let mut notices = vec![Notice::Poke];
    if moment.state == State::Active {
        notices.push(Notice::Chat { kind: "active" });
    }
    notices
}
