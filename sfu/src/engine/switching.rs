//! Which layer of a simulcast picture each viewer is given, and the moment in which it goes on with another.

use std::time::{Duration, Instant};

use super::choice::Rung;
use super::ids::{LayerId, PeerId, StreamId};
use super::packet::Track;
use super::peer::Role;
use super::stream::Show;
use super::viewer::{Playing, Viewer};
use super::{Engine, Event};

/// A cached group of at most this length takes a viewer to its layer at once; otherwise it waits for a keyframe.
const SHORT_GROUP: Duration = Duration::from_millis(500);
/// How long a viewer of a layer that stopped waits for a keyframe of another before it is given a longer group.
const PATIENCE: Duration = Duration::from_millis(150);

impl Engine {
    /// The layer that a viewer is given; `None` while nothing is published.
    pub(super) fn layer_for(&mut self, id: StreamId, peer: PeerId) -> Option<LayerId> {
        let now = self.now;
        let stream = self.streams.get(&id)?;
        if !stream.layers.are_several() {
            return stream.layers.best().map(|l| l.id);
        }
        let viewer = viewer_mut(self.peers.get_mut(&peer).map(|p| &mut p.role))?;
        let chosen = viewer.choice.chosen();
        let known = chosen.filter(|layer| stream.layers.get(*layer).is_some());
        known.or_else(|| {
            let estimate = viewer.estimate();
            viewer.choice.decide(now, &stream.layers.rungs(), estimate)
        })
    }

    /// Looks at the layers every tenth of a second: which of them come, and who is given which.
    pub(super) fn review(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if !stream.layers.review(now) {
            return;
        }
        stream.want_best();
        let rungs = stream.layers.rungs();
        let news = stream.publisher.and_then(|_| stream.layers.news());
        if let Some(layers) = news {
            self.event(id, Event::Layers(layers));
        }
        for viewer in self.viewers_of(id) {
            self.reconsider(id, viewer, &rungs);
        }
    }

    /// A viewer asks for a layer, or leaves the choice to its estimate.
    pub(super) fn ask_layer(&mut self, peer: PeerId, layer: Option<LayerId>) {
        let Some(peer) = self.peers.get_mut(&peer) else {
            return;
        };
        let (id, stream) = (peer.id, peer.stream);
        let Some(viewer) = viewer_mut(Some(&mut peer.role)) else {
            return;
        };
        viewer.choice.ask(layer);
        let layers = self.streams.get(&stream).map(|s| &s.layers);
        if let Some(rungs) = layers.filter(|l| l.are_several()).map(|l| l.rungs()) {
            self.reconsider(stream, id, &rungs);
            self.switch_waiting(stream);
        }
    }

    /// True if a viewer plays a layer of this publisher and is to be taken to another one in its own time.
    pub(super) fn plays_another(&self, id: StreamId, peer: PeerId, layer: LayerId) -> bool {
        let (Some(stream), Some(peer)) = (self.streams.get(&id), self.peers.get(&peer)) else {
            return false;
        };
        let Role::Viewer(viewer) = &peer.role else {
            return false;
        };
        let played = viewer.layer();
        viewer.is_playing(stream.layers.get(played)) && played != layer
    }

    fn reconsider(&mut self, id: StreamId, peer: PeerId, rungs: &[Rung]) {
        let now = self.now;
        let Some(viewer) = viewer_mut(self.peers.get_mut(&peer).map(|p| &mut p.role)) else {
            return;
        };
        let before = viewer.choice.chosen();
        let estimate = viewer.estimate();
        let chosen = viewer.choice.decide(now, rungs, estimate);
        let (playing, layer) = (viewer.playing(), viewer.layer());
        let wish = viewer.choice.wish(rungs);
        self.with_peer(peer, |peer, now, out| peer.wish(now, wish, out));
        let Some(chosen) = chosen else { return };
        match playing {
            Playing::Nothing if before != Some(chosen) => self.join(id, peer),
            Playing::Source if layer != chosen => self.begin_switch(id, peer, chosen),
            _ => {}
        }
    }

    fn begin_switch(&mut self, id: StreamId, peer: PeerId, to: LayerId) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.switching.iter().all(|(known, _)| *known != peer) {
            stream.switching.push((peer, now));
        }
        let short = stream
            .layers
            .get(to)
            .is_some_and(|l| l.span().is_some_and(|span| span <= SHORT_GROUP));
        if !short {
            self.want_keyframe(id, Some(to));
        }
    }

    /// Takes those to their new layer whose keyframe is there, each between two pictures.
    pub(super) fn switch_waiting(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.switching.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut stream.switching);
        let rungs = stream.layers.rungs();
        let left: Vec<_> = waiting
            .into_iter()
            .filter(|(peer, since)| !self.switch(id, (*peer, *since), &rungs))
            .collect();
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.switching = left;
        }
    }

    /// True once there is nothing more to wait for.
    fn switch(&mut self, id: StreamId, (peer, since): (PeerId, Instant), rungs: &[Rung]) -> bool {
        let now = self.now;
        let Some(stream) = self.streams.get(&id) else {
            return true;
        };
        let Some(Role::Viewer(viewer)) = self.peers.get(&peer).map(|p| &p.role) else {
            return true;
        };
        let from = viewer.layer();
        let Some(to) = viewer.choice.chosen().filter(|to| *to != from) else {
            return true;
        };
        if viewer.playing() != Playing::Source || stream.shown(viewer.track()) != Show::Source {
            return viewer.playing() != Playing::Source;
        }
        let span = stream.layers.get(to).and_then(|l| l.span());
        let comes = rungs.iter().any(|r| r.id == from && r.active);
        // Who plays a layer that stopped sees nothing meanwhile.
        let any = !comes && now >= since + PATIENCE;
        let short = span.is_some_and(|span| any || span <= SHORT_GROUP);
        if !short || (comes && !viewer.is_between_pictures()) {
            return false;
        }
        let group = self.group(id, to);
        self.with_peer(peer, |peer, now, out| {
            peer.send(now, out, |viewer, rtc, drain| {
                viewer.start_source(rtc, now, group.iter(), drain);
            });
        });
        let place = |layer| rungs.iter().position(|r| r.id == layer);
        let down = place(to) < place(from);
        self.counts.switches[usize::from(down)] += 1;
        true
    }

    /// Asks for a keyframe of every layer that viewers of the output are given, beside the best one.
    pub(super) fn want_chosen(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id).filter(|s| s.layers.are_several()) else {
            return;
        };
        let best = stream.layers.best().map(|l| l.id);
        let mut wanted: Vec<LayerId> = Vec::new();
        for peer in self.viewers_of(id) {
            let Some(Role::Viewer(viewer)) = self.peers.get(&peer).map(|p| &p.role) else {
                continue;
            };
            let layer = viewer.choice.chosen().filter(|l| Some(*l) != best);
            if let Some(layer) = layer.filter(|_| viewer.track() == Track::Output)
                && !wanted.contains(&layer)
            {
                wanted.push(layer);
            }
        }
        for layer in wanted {
            self.want_keyframe(id, Some(layer));
        }
    }

    /// The publisher is gone: the next one has other layers.
    pub(super) fn orphan(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.orphan();
        for peer in self.viewers_of(id) {
            if let Some(viewer) = viewer_mut(self.peers.get_mut(&peer).map(|p| &mut p.role)) {
                viewer.choice.forget();
            }
            self.with_peer(peer, |peer, now, out| peer.park(now, out));
        }
    }
}

fn viewer_mut(role: Option<&mut Role>) -> Option<&mut Viewer> {
    match role? {
        Role::Viewer(viewer) => Some(viewer),
        Role::Publisher(_) => None,
    }
}
