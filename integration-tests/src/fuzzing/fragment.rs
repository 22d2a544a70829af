//! Trickle fragments, as they come by PATCH to a session that has not connected.

use reverie_sfu::engine::ids::PeerId;
use reverie_sfu::engine::negotiate::Side;
use reverie_sfu::engine::packet::Track;
use reverie_sfu::engine::sdp::Fragment;
use reverie_sfu::engine::{Command, Input};

use super::offer::{accept, alone, outlive, start};

/// A viewer's offer without a candidate.
const OFFER: &str = include_str!("viewer.sdp");

/// A fragment is refused in words, or its candidates cost the session nothing but checks.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let fragment = match Fragment::read(&text) {
        Ok(fragment) => fragment,
        Err(why) => {
            assert!(!why.is_empty(), "refused without words");
            return;
        }
    };
    if fragment.candidates.is_empty() {
        return;
    }
    let now = start();
    let (peer, _) = accept(Side::Watch(Track::Output), OFFER, now).expect("a good offer");
    let mut engine = alone(peer, now);
    let candidates = Command::Candidates(PeerId(1), fragment.candidates);
    engine.handle(now, Input::Command(candidates));
    outlive(engine, now);
}
