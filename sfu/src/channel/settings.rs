//! What a channel is set to beside its policy: who starts its moments, and what viewers may ask for. Pure.

use serde::{Deserialize, Serialize};

/// Who says when a moment that is ready starts, and when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// The server: it starts at its first picture and stops when its duration is over.
    #[default]
    Server,
    /// The bridge; the server stops what it leaves.
    Bridge,
}

/// Something a viewer can ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Product {
    /// Its name.
    pub(crate) sku: String,
    /// In Bits; nothing is paid for 0.
    #[serde(default)]
    pub(crate) price: u32,
    /// For how long, in seconds; the server's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_s: Option<f64>,
}

/// See the module. What is not said has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) driver: Driver,
    pub(crate) products: Vec<Product>,
}

impl Settings {
    /// What the store has; the defaults where it has what a newer server wrote.
    pub(crate) fn read(stored: &str) -> Self {
        serde_json::from_str(stored).unwrap_or_default()
    }

    /// The product of this name.
    pub(crate) fn product(&self, sku: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.sku == sku)
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
