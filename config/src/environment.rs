//! Where environment variables come from, and how a key is called among them.

use std::collections::BTreeMap;

/// What every variable of Reverie begins with.
pub(crate) const PREFIX: &str = "REVERIE__";

/// A set of environment variables. Tests bring a map, so none of them touches the process.
pub trait Environment {
    /// All variables as name and value.
    fn vars(&self) -> Vec<(String, String)>;
}

/// The variables of this process. What is not Unicode in them becomes U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Process;

/// The variable that sets a key: `REVERIE__HTTP__LISTEN` for `http.listen`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The key a variable would set if it were known.
pub(crate) fn key(variable: &str) -> String {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
    name.replace("__", ".").to_lowercase()
}

impl Environment for Process {
    fn vars(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }
}

impl Environment for BTreeMap<String, String> {
    fn vars(&self) -> Vec<(String, String)> {
        self.iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_variable_name_each_other() {
        assert_eq!(
            variable("media.setup_timeout_s"),
            "REVERIE__MEDIA__SETUP_TIMEOUT_S"
        );
        assert_eq!(variable("data_dir"), "REVERIE__DATA_DIR");
        assert_eq!(
            key("REVERIE__MEDIA__SETUP_TIMEOUT_S"),
            "media.setup_timeout_s"
        );
    }
}
