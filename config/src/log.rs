//! The section `log`: what is logged, and how.

use std::fmt;
use std::str::FromStr;

use crate::kind::{Parsed, Text};
use crate::visit::Visitor;

/// The section `log`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// What is logged, in the directives of `tracing_subscriber::EnvFilter`; checked when the log is opened.
    pub level: String,
    /// How a line looks.
    pub format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// The name as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Log {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("log.level", &mut self.level, LEVEL);
        visitor.key(
            "log.format",
            &mut self.format,
            Parsed("\"text\" or \"json\""),
        );
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Text,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or(())
    }
}

const LEVEL: Text = Text {
    expected: "a level or filter directives such as info,reverie_sfu=debug",
    check: |text| !text.trim().is_empty() && !text.contains(char::is_control),
};
