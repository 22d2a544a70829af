//! Processors without settings.

use serde::{Deserialize, Serialize};

use super::settings::Settings;

/// Settings of `passthrough`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {}

/// Settings of `soft_edge`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftEdge {}

impl Settings for Passthrough {}

impl Settings for SoftEdge {}
