//! Why a moment is in its state, in a few stable words.

use std::fmt;

/// The longest reason taken from a pipeline, in characters.
const MAX_CHARS: usize = 200;

/// Why a moment ended, or went back into the queue. Displays as short text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody stopped it: before it was seen, or when most of it had been.
    Stopped,
    /// Somebody stopped it before most of it had been seen.
    StoppedEarly,
    /// Its turn did not come in time.
    WaitedTooLong,
    /// The stream stayed offline while it waited.
    StreamOffline,
    /// The publisher was away for too long while it was live.
    PublisherGone,
    /// Its pipeline gave no first frame in time.
    WarmTimeout,
    /// Its pipeline failed, in the pipeline's words.
    Pipeline(String),
    /// No payment came in time.
    NotPaid,
    /// No moderator looked at it in time.
    NotReviewed,
    /// A moderator did not want it, in the moderator's words.
    Rejected(String),
    /// The node that showed it was not heard any more.
    LeaseLost,
    /// A moderator took it from everybody's eyes.
    Hidden,
}

impl Reason {
    /// Takes a pipeline's words: one line of at most 200 characters.
    #[must_use]
    pub fn pipeline(words: &str) -> Self {
        Self::Pipeline(line(words))
    }

    /// Takes a moderator's words: one line of at most 200 characters.
    #[must_use]
    pub fn rejected(words: &str) -> Self {
        Self::Rejected(line(words))
    }

    /// The reason that [`Reason::stored`] wrote.
    #[must_use]
    pub fn restored(text: &str) -> Option<Self> {
        let (label, words) = text.split_once(": ").unwrap_or((text, ""));
        let plain = [
            Self::Stopped,
            Self::StoppedEarly,
            Self::WaitedTooLong,
            Self::StreamOffline,
            Self::PublisherGone,
            Self::WarmTimeout,
            Self::NotPaid,
            Self::NotReviewed,
            Self::LeaseLost,
            Self::Hidden,
        ];
        match label {
            "pipeline" => Some(Self::pipeline(words)),
            "rejected" => Some(Self::rejected(words)),
            _ => plain.into_iter().find(|reason| reason.label() == text),
        }
    }

    /// As text that [`Reason::restored`] reads: the label, and words where somebody said some.
    #[must_use]
    pub fn stored(&self) -> String {
        match self {
            Self::Pipeline(words) | Self::Rejected(words) if !words.is_empty() => {
                format!("{}: {words}", self.label())
            }
            _ => self.label().to_owned(),
        }
    }

    /// One of a few fixed names, fit for the label of a metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::StoppedEarly => "stopped_early",
            Self::WaitedTooLong => "waited_too_long",
            Self::StreamOffline => "stream_offline",
            Self::PublisherGone => "publisher_gone",
            Self::WarmTimeout => "warm_timeout",
            Self::Pipeline(_) => "pipeline",
            Self::NotPaid => "not_paid",
            Self::NotReviewed => "not_reviewed",
            Self::Rejected(_) => "rejected",
            Self::LeaseLost => "lease_lost",
            Self::Hidden => "hidden",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::StoppedEarly => "stopped early",
            Self::WaitedTooLong => "waited too long",
            Self::StreamOffline => "the stream went offline",
            Self::PublisherGone => "the publisher was gone",
            Self::WarmTimeout => "the pipeline gave no picture in time",
            Self::Pipeline(words) if words.is_empty() => "the pipeline failed",
            Self::NotPaid => "it was not paid in time",
            Self::NotReviewed => "nobody looked at it in time",
            Self::Rejected(words) if words.is_empty() => "not approved",
            Self::LeaseLost => "the server that showed it was lost",
            Self::Hidden => "hidden by a moderator",
            Self::Pipeline(words) | Self::Rejected(words) => words,
        })
    }
}

fn line(words: &str) -> String {
    let visible = words
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_words_become_one_short_line() {
        assert_eq!(
            Reason::pipeline(" out of\nmemory ").to_string(),
            "out of memory"
        );
        assert_eq!(
            Reason::pipeline(&"é".repeat(1000))
                .to_string()
                .chars()
                .count(),
            200
        );
        assert_eq!(Reason::pipeline("\n").to_string(), "the pipeline failed");
    }

    #[test]
    fn a_reason_is_read_back_as_it_was_stored() {
        for reason in [
            Reason::NotPaid,
            Reason::Hidden,
            Reason::StoppedEarly,
            Reason::pipeline("out of memory: 3 GiB"),
            Reason::pipeline(""),
            Reason::rejected("not: today"),
        ] {
            assert_eq!(Reason::restored(&reason.stored()), Some(reason));
        }
        assert_eq!(Reason::restored("nonsense"), None);
    }
}
