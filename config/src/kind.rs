//! What a key expects: how it is described, read, and written back. A kind with a range refuses what lies outside.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::number::Number;
use crate::raw::Raw;
use crate::secret::Secret;

/// What a socket address is called in messages.
pub(crate) const SOCKET: &str = "an IP address and port such as 127.0.0.1:8080";

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What the values of a key are.
pub(crate) trait Kind<T> {
    /// What is accepted, to be read after "expected".
    fn expected(&self) -> String;
    /// The value, or what was found instead.
    fn read(&self, raw: &Raw) -> Result<T, String>;
    /// The value as TOML; `None` when it is unset.
    fn show(&self, value: &T) -> Option<String>;
}

/// An integer within the range.
pub(crate) struct Integer(pub(crate) RangeInclusive<i64>);
/// Whole seconds within the range.
pub(crate) struct Seconds(pub(crate) RangeInclusive<i64>);
/// Whole days within the range.
pub(crate) struct Days(pub(crate) RangeInclusive<i64>);
/// Milliseconds within the range.
pub(crate) struct Millis(pub(crate) RangeInclusive<i64>);
/// True or false.
pub(crate) struct Flag;
/// A text that passes the check.
pub(crate) struct Text {
    pub(crate) expected: &'static str,
    pub(crate) check: fn(&str) -> bool,
}
/// Whatever reads itself from a text, under its description.
pub(crate) struct Parsed(pub(crate) &'static str);
/// An array.
pub(crate) struct Each<K>(pub(crate) K);
/// A value, or none.
pub(crate) struct Maybe<K>(pub(crate) K);
/// A secret, or none.
pub(crate) struct Token;
/// A secret that is long enough to sign with, or none.
pub(crate) struct SigningKey;
/// The URL of a database of PostgreSQL, or none.
pub(crate) struct DatabaseUrl;
/// A path of a file, or none.
pub(crate) struct File;
/// A path of the file system.
pub(crate) struct Folder;

impl<T: Number> Kind<T> for Integer {
    fn expected(&self) -> String {
        format!("an integer {}", between(&self.0))
    }

    fn read(&self, raw: &Raw) -> Result<T, String> {
        within(&self.0, raw)
            .and_then(T::from_integer)
            .ok_or_else(|| raw.found())
    }

    fn show(&self, value: &T) -> Option<String> {
        Some(value.to_integer().to_string())
    }
}

impl Kind<Duration> for Seconds {
    fn expected(&self) -> String {
        format!("whole seconds {}", between(&self.0))
    }

    fn read(&self, raw: &Raw) -> Result<Duration, String> {
        let seconds = within(&self.0, raw).and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map(Duration::from_secs).ok_or_else(|| raw.found())
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some(value.as_secs().to_string())
    }
}

impl Kind<Duration> for Days {
    fn expected(&self) -> String {
        format!("whole days {}", between(&self.0))
    }

    fn read(&self, raw: &Raw) -> Result<Duration, String> {
        let days = within(&self.0, raw).and_then(|days| u64::try_from(days).ok());
        days.map(|days| Duration::from_secs(days * DAY))
            .ok_or_else(|| raw.found())
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some((value.as_secs() / DAY).to_string())
    }
}

impl Kind<Duration> for Millis {
    fn expected(&self) -> String {
        format!("milliseconds {}", between(&self.0))
    }

    fn read(&self, raw: &Raw) -> Result<Duration, String> {
        let millis = within(&self.0, raw).and_then(|millis| u64::try_from(millis).ok());
        millis.map(Duration::from_millis).ok_or_else(|| raw.found())
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some(value.as_millis().to_string())
    }
}

impl Kind<bool> for Flag {
    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<bool, String> {
        raw.boolean().ok_or_else(|| raw.found())
    }

    fn show(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

impl Kind<String> for Text {
    fn expected(&self) -> String {
        self.expected.to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<String, String> {
        let text = raw.text().filter(|text| (self.check)(text));
        text.map(str::to_owned).ok_or_else(|| raw.found())
    }

    fn show(&self, value: &String) -> Option<String> {
        Some(literal(value))
    }
}

impl<T: FromStr + Display> Kind<T> for Parsed {
    fn expected(&self) -> String {
        self.0.to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<T, String> {
        raw.text()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| raw.found())
    }

    fn show(&self, value: &T) -> Option<String> {
        Some(literal(&value.to_string()))
    }
}

impl<T, K: Kind<T>> Kind<Vec<T>> for Each<K> {
    fn expected(&self) -> String {
        format!("an array, each item {}", self.0.expected())
    }

    fn read(&self, raw: &Raw) -> Result<Vec<T>, String> {
        let items = raw.items().ok_or_else(|| raw.found())?;
        items.iter().map(|item| self.0.read(item)).collect()
    }

    fn show(&self, value: &Vec<T>) -> Option<String> {
        let items: Vec<_> = value.iter().filter_map(|item| self.0.show(item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl<T, K: Kind<T>> Kind<Option<T>> for Maybe<K> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, raw: &Raw) -> Result<Option<T>, String> {
        self.0.read(raw).map(Some)
    }

    fn show(&self, value: &Option<T>) -> Option<String> {
        value.as_ref().and_then(|value| self.0.show(value))
    }
}

impl Kind<Option<Secret>> for Token {
    fn expected(&self) -> String {
        "at least 16 characters of printable ASCII without spaces".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<Secret>, String> {
        let secret = raw.text().and_then(|text| Secret::new(text).ok());
        secret.map(Some).ok_or_else(|| masked(raw))
    }

    fn show(&self, value: &Option<Secret>) -> Option<String> {
        value.as_ref().map(|secret| literal(&secret.to_string()))
    }
}

impl Kind<Option<Secret>> for SigningKey {
    fn expected(&self) -> String {
        "at least 32 characters of printable ASCII without spaces".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<Secret>, String> {
        // RFC 7518, section 3.2: a key for HS256 has at least 256 bits.
        let text = raw.text().filter(|text| text.len() >= 32);
        let secret = text.and_then(|text| Secret::new(text).ok());
        secret.map(Some).ok_or_else(|| masked(raw))
    }

    fn show(&self, value: &Option<Secret>) -> Option<String> {
        Token.show(value)
    }
}

impl Kind<Option<Secret>> for DatabaseUrl {
    fn expected(&self) -> String {
        "a URL such as postgres://user:password@host/database".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<Secret>, String> {
        let is_url =
            |text: &&str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        let secret = raw
            .text()
            .filter(is_url)
            .and_then(|text| Secret::new(text).ok());
        secret.map(Some).ok_or_else(|| masked(raw))
    }

    fn show(&self, value: &Option<Secret>) -> Option<String> {
        Token.show(value)
    }
}

impl Kind<Option<PathBuf>> for File {
    fn expected(&self) -> String {
        "a path of a file".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<PathBuf>, String> {
        Folder.read(raw).map(Some)
    }

    fn show(&self, value: &Option<PathBuf>) -> Option<String> {
        value.as_ref().and_then(|path| Folder.show(path))
    }
}

impl Kind<PathBuf> for Folder {
    fn expected(&self) -> String {
        "a path".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<PathBuf, String> {
        let text = raw
            .text()
            .filter(|text| !text.is_empty() && !text.contains('\0'));
        text.map(PathBuf::from).ok_or_else(|| raw.found())
    }

    fn show(&self, value: &PathBuf) -> Option<String> {
        Some(literal(&value.to_string_lossy()))
    }
}

fn within(range: &RangeInclusive<i64>, raw: &Raw) -> Option<i64> {
    raw.integer().filter(|integer| range.contains(integer))
}

fn between(range: &RangeInclusive<i64>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

/// A wrong secret is most likely a real one with a slip in it: only its length is told.
pub(crate) fn masked(raw: &Raw) -> String {
    match raw.text() {
        Some(text) if text.chars().all(|c| c.is_ascii_graphic()) => {
            format!("{} characters", text.len())
        }
        Some(_) => "a space or a character outside printable ASCII".to_owned(),
        None => "another type than a string".to_owned(),
    }
}

pub(crate) fn literal(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn read<T>(kind: impl Kind<T>, raw: Raw) -> Result<T, String> {
        kind.read(&raw)
    }

    #[test]
    fn an_integer_stays_within_its_range() {
        assert_eq!(read(Integer(1..=64), Raw::Integer(64)), Ok(64_u32));
        assert_eq!(
            read::<u32>(Integer(1..=64), Raw::Integer(65)),
            Err("65".into())
        );
        assert_eq!(
            read::<u32>(Integer(1..=64), Raw::Variable("-1".into())),
            Err("\"-1\"".into())
        );
        assert_eq!(
            read::<NonZeroU32>(Integer(0..=64), Raw::Integer(0)),
            Err("0".into())
        );
    }

    #[test]
    fn an_array_names_its_first_wrong_item() {
        let list = Raw::List(vec![
            Raw::Boolean(true),
            Raw::Integer(3),
            Raw::Text("x".into()),
        ]);
        assert_eq!(read(Each(Flag), list), Err("3".into()));
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        for wrong in ["hunter2", "hunter2 with-spaces-in-it"] {
            let found = read(Token, Raw::Text(wrong.into())).unwrap_err();
            assert!(!found.contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn a_text_is_shown_so_that_toml_reads_it_back() {
        let path = PathBuf::from("C:\\data \"x\"");
        let shown = Folder.show(&path).unwrap();
        let table: toml::Table = format!("path = {shown}").parse().unwrap();
        assert_eq!(table["path"].as_str(), path.to_str());
    }
}
