//! Why a socket ends, as its client is told and as it is counted.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};

use super::super::problem::Problem;

/// How long the client may take to take the last words, and then to answer them.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// See the module.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client closed it, or its connection is gone.
    Gone,
    /// The client says nothing any more.
    Silent,
    /// The client takes its messages too slowly.
    Slow,
    /// The client has another socket in its place.
    Replaced,
    /// The server stops.
    Draining,
    /// A message that is no text.
    Binary,
    /// A message that is too large, or none at all.
    Unreadable(String),
    /// Not allowed, not allowed any more, or no room.
    Refused(Problem),
}

impl Ending {
    /// For metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Replaced => "replaced",
            Self::Draining => "draining",
            Self::Binary | Self::Unreadable(_) => "unreadable",
            Self::Refused(problem) if problem.status().is_client_error() => "refused",
            Self::Refused(_) => "busy",
        }
    }

    /// Code and reason; codes from 4000 on are a status of HTTP behind a 4.
    fn told(&self) -> Option<(u16, String)> {
        Some(match self {
            Self::Gone => return None,
            Self::Silent => (4408, "nothing was heard of you".to_owned()),
            Self::Slow => (4408, "you read too slowly; come back and resume".to_owned()),
            Self::Replaced => (4409, "another socket took the place of this one".to_owned()),
            Self::Draining => (close_code::AWAY, "the server is stopping".to_owned()),
            Self::Binary => (close_code::UNSUPPORTED, "messages are text".to_owned()),
            Self::Unreadable(why) if why.contains("too long") => (close_code::SIZE, why.clone()),
            Self::Unreadable(why) => (close_code::PROTOCOL, why.clone()),
            Self::Refused(problem) if problem.status().is_client_error() => {
                (4000 + problem.status().as_u16(), problem.detail())
            }
            Self::Refused(problem) => (close_code::AGAIN, problem.detail()),
        })
    }

    /// Tells the client, as far as it listens, and lets it answer: a connection that is cut while something of the client
    /// is unread takes the last words with it.
    pub(super) async fn tell(&self, mut socket: WebSocket) {
        if let Some((code, reason)) = self.told() {
            let reason = short(&reason).into();
            let last = Message::Close(Some(CloseFrame { code, reason }));
            let sent = tokio::time::timeout(LAST_WORDS, socket.send(last)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        // A client that closes is answered by this, too.
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }
}

fn short(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_its_frame_and_ends_between_characters() {
        assert_eq!(short("brief"), "brief");
        let long = "ä".repeat(100);
        let cut = short(&long);
        assert_eq!((cut.len(), cut.chars().count()), (122, 61));
    }

    #[test]
    fn a_refusal_is_told_by_its_status_and_a_full_server_as_try_again() {
        let code = |problem| Ending::Refused(problem).told().map(|(code, _)| code);
        assert_eq!(code(Problem::NoToken), Some(4401));
        assert_eq!(code(Problem::CrossSite), Some(4403));
        assert_eq!(code(Problem::Busy("full".to_owned())), Some(1013));
        assert_eq!(Ending::Gone.told(), None);
    }
}
