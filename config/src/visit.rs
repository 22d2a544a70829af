//! Going through all keys: reading, rendering and listing are visitors of one list, so none can miss a key.

use crate::Config;
use crate::kind::Kind;

/// Is shown every key with its place in the configuration and what it expects.
pub(crate) trait Visitor {
    /// One key with its section, as in `media.shards`.
    fn key<T>(&mut self, key: &'static str, value: &mut T, kind: impl Kind<T>);
}

/// All keys in the order of the file.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names = Names(Vec::new());
    Config::default().visit(&mut names);
    names.0
}

struct Names(Vec<&'static str>);

impl Visitor for Names {
    fn key<T>(&mut self, key: &'static str, _: &mut T, _: impl Kind<T>) {
        self.0.push(key);
    }
}
