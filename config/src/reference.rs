//! Proves that the reference file says what the code does.

use crate::kind::Kind;
use crate::visit::{self, Visitor};
use crate::{Config, REFERENCE};

/// What stands in the reference for one key: the comment above it, and whether the key itself is commented out.
struct Entry {
    key: String,
    comment: String,
    set: bool,
}

/// Reads the reference by its layout: comment, key, empty line.
fn entries() -> Vec<Entry> {
    let (mut section, mut comment, mut entries) = (String::new(), String::new(), Vec::new());
    for line in REFERENCE.lines() {
        let text = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if line.is_empty() {
            comment.clear();
        } else if let Some(name) = key_of(text) {
            entries.push(Entry {
                key: format!("{section}{name}"),
                comment: comment.to_lowercase(),
                set: !line.starts_with('#'),
            });
        } else {
            comment = format!("{comment} {text}");
        }
    }
    entries
}

fn key_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(" = ")?;
    name.chars()
        .all(|c| c.is_ascii_lowercase() || c == '_')
        .then_some(name)
}

#[test]
fn the_reference_lists_every_key_in_order() {
    let listed: Vec<_> = entries().into_iter().map(|entry| entry.key).collect();
    assert_eq!(listed, visit::names());
}

#[test]
fn the_reference_tells_what_each_key_expects_and_sets_all_that_have_a_default() {
    struct Compare(std::vec::IntoIter<Entry>);
    impl Visitor for Compare {
        fn key<T>(&mut self, key: &'static str, value: &mut T, kind: impl Kind<T>) {
            let entry = self.0.next().expect("the other test compares the keys");
            let expected = kind.expected().to_lowercase();
            assert!(
                entry.comment.contains(&expected),
                "{key}: {expected:?} is not in {:?}",
                entry.comment
            );
            assert_eq!(entry.set, kind.show(value).is_some(), "{key}");
        }
    }
    Config::default().visit(&mut Compare(entries().into_iter()));
}
