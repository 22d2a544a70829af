//! What every processor's settings have in common: defaults, ranges, and a fault that points at its culprit.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Why a processor cannot be had as it was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) from the processor's object to the culprit; empty for the object itself.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Fault {
    pub(super) fn at(field: &str, reason: impl Into<String>) -> Self {
        let escaped = field.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: format!("/{escaped}"),
            reason: reason.into(),
        }
    }

    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Self {
            pointer: String::new(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.pointer, self.reason)
        }
    }
}

/// A number's field, its least and its greatest value.
pub(super) type Limit = (&'static str, f64, f64);

/// A field that takes one of some words.
pub(super) type Choice = (&'static str, &'static [&'static str]);

/// The settings of one type of processor: a flat JSON object, every field of which has a default.
pub(super) trait Settings: Serialize + DeserializeOwned + Default {
    /// Ranges of all numbers, ends included.
    const LIMITS: &'static [Limit] = &[];
    /// Words of all fields that take one of some.
    const CHOICES: &'static [Choice] = &[];

    /// What ranges cannot say.
    fn rules(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Settings from the fields that are given; the others are at their defaults.
pub(super) fn parse<S: Settings>(given: Map<String, Value>, also: &[&str]) -> Result<S, Fault> {
    let defaults = fields(&S::default());
    for (key, value) in &given {
        if !defaults.contains_key(key) {
            return Err(unknown(key, defaults.keys().map(String::as_str), also));
        }
        // Alone among defaults, so that a failure is this field's.
        let mut alone = defaults.clone();
        alone.insert(key.clone(), value.clone());
        serde_json::from_value::<S>(alone.into()).map_err(|e| Fault::at(key, e.to_string()))?;
    }
    let settings = serde_json::from_value(given.into()).map_err(|e| Fault::whole(e.to_string()))?;
    check::<S>(&settings)?;
    Ok(settings)
}

/// Whether the settings are within their ranges and rules.
pub(super) fn check<S: Settings>(settings: &S) -> Result<(), Fault> {
    let given = fields(settings);
    for &(field, least, most) in S::LIMITS {
        let value = given.get(field).and_then(Value::as_f64);
        if !value.is_some_and(|value| (least..=most).contains(&value)) {
            let got = given.get(field).unwrap_or(&Value::Null);
            let reason = format!("{got} is not within {least} to {most}");
            return Err(Fault::at(field, reason));
        }
    }
    settings.rules()
}

/// The JSON Schema (2020-12) of each field.
pub(super) fn properties<S: Settings>() -> Map<String, Value> {
    let schema = |(field, default): (String, Value)| {
        let mut schema = json!({ "type": kind_of(&default), "default": default });
        if let Some((_, least, most)) = S::LIMITS.iter().find(|(name, ..)| *name == field) {
            schema["minimum"] = number(*least, &default);
            schema["maximum"] = number(*most, &default);
        }
        if let Some((_, words)) = S::CHOICES.iter().find(|(name, _)| *name == field) {
            schema["enum"] = json!(words);
        }
        (field, schema)
    };
    fields(&S::default()).into_iter().map(schema).collect()
}

fn fields<S: Settings>(settings: &S) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("settings are structs of numbers, words and flags"),
    }
}

fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>, also: &[&'a str]) -> Fault {
    let all: Vec<_> = known.chain(also.iter().copied()).collect();
    Fault::at(key, format!("unknown field; there are {}", all.join(", ")))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        _ => "string",
    }
}

/// A limit as the kind of number that its field is.
fn number(limit: f64, like: &Value) -> Value {
    if like.is_f64() {
        json!(limit)
    } else {
        json!(limit as i64)
    }
}
