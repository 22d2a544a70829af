//! The section `store`: where moments are kept.

use crate::kind::DatabaseUrl;
use crate::secret::Secret;
use crate::visit::Visitor;

/// The section `store`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// A database of PostgreSQL; a file of SQLite below the data directory when unset. It may have a password in it.
    pub url: Option<Secret>,
}

impl Store {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("store.url", &mut self.url, DatabaseUrl);
    }
}
