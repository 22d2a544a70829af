//! What a channel is set to beside its policy: who starts its moments. Pure.

use serde::{Deserialize, Serialize};

/// Who says when a moment that is ready starts, and when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// The server: it starts at its first picture and stops when its duration is over.
    #[default]
    Server,
    /// The bridge; the server stops what it leaves.
    Bridge,
}

/// See the module. What is not said has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) driver: Driver,
}

impl Settings {
    /// What the store has; the defaults where it has what a newer server wrote.
    pub(crate) fn read(stored: &str) -> Self {
        serde_json::from_str(stored).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default_and_what_is_not_known_is_refused() {
        assert_eq!(Settings::read("{}"), Settings::default());
        let bridge = Settings::read(r#"{"driver":"bridge"}"#);
        assert_eq!(bridge.driver, Driver::Bridge);
        let wrong: Result<Settings, _> = serde_json::from_str(r#"{"colour":"red"}"#);
        assert!(wrong.is_err_and(|error| error.to_string().contains("colour")));
    }
}
