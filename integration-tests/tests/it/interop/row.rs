//! What one client showed: a row of `docs/interop.md`, written by `make interop`.

use std::path::PathBuf;

use anyhow::Result;
use reverie_integration_tests::frames::{self, Frame};
use serde_json::{Value, json};

/// Where rows go, if anywhere.
const FOLDER: &str = "REVERIE_INTEROP";

/// One client in one role.
#[derive(Debug)]
pub(super) struct Row(Value);

impl Row {
    /// `role` is `publish` or `play`.
    pub(super) fn new(client: &str, role: &str) -> Self {
        Self(json!({ "client": client, "role": role }))
    }

    /// Fills one column.
    pub(super) fn set(&mut self, column: &str, value: impl Into<Value>) {
        self.0[column] = value.into();
    }

    /// What a viewer saw around the moment: pictures seen of those it spans, and the styled ones among them.
    pub(super) fn pictures(&mut self, seen: &[Frame]) {
        let numbers = || seen.iter().filter_map(|f| f.n);
        let span = numbers().max().zip(numbers().min());
        self.set("seen", numbers().count());
        self.set("expected", span.map_or(0, |(last, first)| last - first + 1));
        self.set("styled", seen.iter().filter(|f| f.inverted).count());
        self.set("gap_ms", (frames::longest_gap(seen) * 1000.0).round());
    }

    /// Writes the row where [`FOLDER`] says, if anywhere.
    pub(super) fn done(self) -> Result<()> {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
            return Ok(());
        };
        std::fs::create_dir_all(&folder)?;
        let text = |key: &str| self.0[key].as_str().unwrap_or_default();
        let name = format!("{}-{}.json", text("role"), text("client")).replace(['/', ' '], "_");
        Ok(std::fs::write(
            folder.join(name),
            serde_json::to_vec_pretty(&self.0)?,
        )?)
    }
}
