//! The TOML file, taken apart into keys with the line each stands on.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::error::{Origin, Problem};
use crate::raw::{Raw, Written};

/// Takes the text apart into keys with their section. Syntax errors stand alone: what surrounds them cannot be trusted.
pub(crate) fn parse(
    path: &Path,
    text: &str,
    known: &[&str],
) -> Result<Vec<(String, Written)>, Vec<Problem>> {
    let file = File { path, text, known };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| file.syntax(error)).collect());
    }
    let mut keys = Vec::new();
    file.flatten("", table.get_ref(), &mut keys);
    Ok(keys)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    known: &'a [&'a str],
}

impl File<'_> {
    /// Only the parser's own words are kept: its full message quotes the line, and that line may hold a secret.
    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let message = error.message().replace('\n', ", ");
        Problem::of_file(self.origin(error.span()), format!("is not TOML: {message}"))
    }

    fn flatten(&self, section: &str, table: &DeTable<'_>, keys: &mut Vec<(String, Written)>) {
        for (name, value) in table {
            let key = match section {
                "" => name.get_ref().to_string(),
                section => format!("{section}.{}", name.get_ref()),
            };
            match value.get_ref() {
                DeValue::Table(inner) if self.opens(&key, inner) => self.flatten(&key, inner, keys),
                value => {
                    let (origin, raw) = (self.origin(Some(name.span())), raw(value));
                    keys.push((key, Written { origin, raw }));
                }
            }
        }
    }

    /// Whether the keys inside the table are told, and not the table itself: there is none inside an empty one.
    fn opens(&self, name: &str, table: &DeTable<'_>) -> bool {
        self.is_section(name) || (!table.is_empty() && !self.known.contains(&name))
    }

    fn is_section(&self, name: &str) -> bool {
        self.known.iter().any(|key| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn origin(&self, span: Option<Range<usize>>) -> Origin {
        let before = span.and_then(|span| self.text.get(..span.start));
        Origin::File {
            path: self.path.to_owned(),
            line: before.map(|before| before.matches('\n').count() + 1),
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(boolean) => Raw::Boolean(*boolean),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Raw::Other(integer.to_string()), Raw::Integer),
        DeValue::Float(float) => Raw::Other(float.as_str().to_owned()),
        DeValue::Datetime(time) => Raw::Other(time.to_string()),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Table(_) => Raw::Other("a table".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<(String, Raw, String)> {
        let keys = parse(Path::new("r.toml"), text, &["http.listen"]).unwrap();
        keys.into_iter()
            .map(|(key, written)| (key, written.raw, written.origin.to_string()))
            .collect()
    }

    #[test]
    fn every_key_knows_its_line() {
        let found = keys("data_dir = 'x'\n\n[http]\n# where\nlisten = 1_000\n\n[media]\n");
        assert_eq!(
            found[0],
            ("data_dir".into(), Raw::Text("x".into()), "r.toml:1".into())
        );
        assert_eq!(
            found[1],
            ("http.listen".into(), Raw::Integer(1000), "r.toml:5".into())
        );
        assert_eq!(
            found[2],
            (
                "media".into(),
                Raw::Other("a table".into()),
                "r.toml:7".into()
            )
        );
    }

    #[test]
    fn dotted_keys_and_sections_are_the_same() {
        assert_eq!(keys("http.listen = 0x10")[0].1, Raw::Integer(16));
        assert_eq!(keys("[http]\n")[..], []);
        assert_eq!(
            keys("[http.listen]\nport = 1")[0].1,
            Raw::Other("a table".into())
        );
    }

    #[test]
    fn a_syntax_error_names_its_line_and_quotes_nothing() {
        let problems = parse(Path::new("r.toml"), "a = 1\ntoken = 'hunter2\n", &[]).unwrap_err();
        let message = problems[0].to_string();
        assert!(message.starts_with("r.toml:2: is not TOML: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
