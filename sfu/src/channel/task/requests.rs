//! The channel's moments: begun and ended as the store says, and told to everybody.

use serde_json::json;
use tokio::sync::oneshot;

use super::super::board::{Board, News, Story};
use super::super::director::Input;
use super::super::keeper::{Heard, Told};
use super::super::{Refused, Reply};
use super::Task;

impl Task {
    /// Answers once a request for a moment can be decided by the store.
    pub(super) fn settle(&mut self, reply: Reply<Result<(), Refused>>) {
        if self.live && !self.media().1 {
            let _ = reply.send(Err(Refused::SoundOnly));
            return;
        }
        let (settled, answer) = oneshot::channel();
        self.keeper.tell(Told::Settle(settled));
        tokio::spawn(async move {
            // When the keeper is gone the store decides by what it knows.
            let _ = answer.await;
            let _ = reply.send(Ok(()));
        });
    }

    pub(super) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Prepare(pipeline) => self.direct(Input::Warm(pipeline)),
            Heard::Begin(engagement) => self.direct(Input::Begin(engagement)),
            Heard::End => self.direct(Input::End),
            Heard::News(news) => {
                let News { board, stories } = *news;
                // What is told is part of a snapshot by then, and of none before.
                let changed = self.show_board(board);
                for story in stories {
                    self.tell_story(story);
                }
                if changed {
                    let (queue, paused) = (&self.board.queue, self.board.paused);
                    let data = json!({ "queue": queue, "paused": paused });
                    self.tell("queue.changed", 0, data);
                }
            }
        }
    }

    /// Takes over a board; tells whether the queue is another one.
    pub(super) fn show_board(&mut self, mut board: Board) -> bool {
        let gauge = &self.channels.shared.metrics.moments;
        for (counts, sign) in [(&self.board.counts, -1), (&board.counts, 1)] {
            for (state, count) in counts {
                gauge.with_label_values(&[state]).add(sign * count);
            }
        }
        let ids = |board: &Board| -> Vec<_> { board.queue.iter().map(|m| m.id.clone()).collect() };
        let changed = ids(&self.board) != ids(&board) || self.board.paused != board.paused;
        board.last = board.last.or_else(|| self.board.last.take());
        self.board = board;
        changed
    }

    fn tell_story(&mut self, story: Story) {
        if let Some((from, to)) = story.step {
            let ended = story.data["ended_at"].is_i64();
            let reason = if ended { to } else { "none" };
            self.channels
                .shared
                .metrics
                .moment_transitions
                .with_label_values(&[from, to, reason])
                .inc();
            let (id, why) = (&story.data["id"], &story.data["reason"]);
            tracing::info!(channel = %self.name, moment = id.as_str(), from, to, reason = why.as_str(), "moment");
        }
        self.tell(story.kind, story.version, story.data);
    }
}
