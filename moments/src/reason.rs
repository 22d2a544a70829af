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
}

impl Reason {
    /// Takes a pipeline's words: one line of at most 200 characters.
    #[must_use]
    pub fn pipeline(words: &str) -> Self {
        let line = words
            .trim()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c });
        Self::Pipeline(line.take(MAX_CHARS).collect())
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
            Self::Pipeline(words) => words,
        })
    }
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
}
