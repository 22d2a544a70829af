//! The effective configuration as TOML, with secrets masked.

use std::fmt::Write as _;

use crate::Config;
use crate::kind::Kind;
use crate::visit::Visitor;

/// One line per key under its section's heading; an unset key stands as a comment.
pub(crate) fn render(config: &Config) -> String {
    let mut lines = Lines::default();
    config.clone().visit(&mut lines);
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
    section: &'static str,
}

impl Lines {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(line)
            .expect("a String takes every write");
        self.text.push('\n');
    }
}

impl Visitor for Lines {
    fn key<T>(&mut self, key: &'static str, value: &mut T, kind: impl Kind<T>) {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if section != self.section {
            self.section = section;
            self.line(format_args!("\n[{section}]"));
        }
        match kind.show(value) {
            Some(shown) => self.line(format_args!("{name} = {shown}")),
            None => self.line(format_args!("# {name} is unset")),
        }
    }
}
