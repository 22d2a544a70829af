//! Compares a document with the table and collects everything that is wrong with it.

use serde_json::{Map, Value};

use super::problem::{Found, Pointer};
use super::table::{Effect, Field, Form, Kind, PARTS, WEIGHT};
use crate::processors::Spec;
use crate::still;

/// Characters of a found value that are repeated in a message.
const SHOWN: usize = 40;
/// Characters of an unknown key that are looked at.
const KEY: usize = 64;
/// Longest path.
pub(super) const PATH: usize = 255;

/// Checks a value; whole numbers that are written as `12.0` become `12`.
pub(super) fn check(kind: &Kind, value: &mut Value, at: &Pointer<'_>, found: &mut Found) {
    match (kind, &mut *value) {
        (Kind::Optional(_), Value::Null) | (Kind::Flag, Value::Bool(_)) => {}
        (Kind::Optional(kind), _) => check(kind, value, at, found),
        (Kind::Integer(..) | Kind::Steps(..), Value::Number(_)) => integer(kind, value, at, found),
        (Kind::Number(min, max), Value::Number(number)) => {
            let fits = |number: f64| number.is_finite() && (*min..=*max).contains(&number);
            if !number.as_f64().is_some_and(fits) {
                unexpected(kind, value, at, found);
            }
        }
        (Kind::Text(max), Value::String(text)) if text.chars().count() <= *max => {}
        (Kind::Path, Value::String(text)) if is_path(text) => {}
        (Kind::Picture, Value::String(text)) if still::is_address(text) => {
            if let Some(fault) = still::fault(text) {
                found.add(at, fault);
            }
        }
        (Kind::Picture, _) => self::check(&Kind::Path, value, at, found),
        (Kind::Choice(words, aliases), Value::String(text))
            if words.iter().chain(*aliases).any(|word| word == text) => {}
        (Kind::List(min, max, kind), Value::Array(items))
            if (*min..=*max).contains(&items.len()) =>
        {
            for (index, item) in items.iter_mut().enumerate() {
                check(kind, item, &at.index(index), found);
            }
        }
        (Kind::Map(max, kind), Value::Object(entries)) if entries.len() <= *max => {
            for (key, value) in entries {
                let at = at.key(key);
                if !is_path(key) {
                    found.add(&at, format!("expected {}", Kind::Path.expected()));
                }
                check(kind, value, &at, found);
            }
        }
        (Kind::Object(form), Value::Object(entries)) => object(form, entries, at, found),
        (Kind::Blend(kind), Value::Array(parts)) if (1..=PARTS).contains(&parts.len()) => {
            blend(kind, parts, at, found);
        }
        (Kind::Blend(_), Value::Array(_)) => unexpected(kind, value, at, found),
        (Kind::Blend(kind), _) => check(kind, value, at, found),
        (Kind::Processor, _) => processor(value, at, found),
        _ => unexpected(kind, value, at, found),
    }
}

fn object(form: &Form, entries: &mut Map<String, Value>, at: &Pointer<'_>, found: &mut Found) {
    for (key, value) in &mut *entries {
        match form.find(key) {
            Some(field) => check(&field.kind, value, &at.key(key), found),
            None => unknown(form, key, &at.key(key), found),
        }
    }
    for field in form.required() {
        if !entries.contains_key(field.name) {
            let detail = format!("is missing; expected {}", field.kind.expected());
            found.add(&at.key(field.name), detail);
        }
    }
}

/// Finds keys of a patch that are in no table and that merging would remove without a word.
pub(super) fn unknown_nulls(kind: &Kind, patch: &Value, at: &Pointer<'_>, found: &mut Found) {
    let kind = match kind {
        Kind::Optional(kind) => kind,
        kind => kind,
    };
    let (Kind::Object(form), Value::Object(entries)) = (kind, patch) else {
        return;
    };
    for (key, value) in entries {
        let at = at.key(key);
        match form.find(key) {
            Some(field) => unknown_nulls(&field.kind, value, &at, found),
            None if value.is_null() => unknown(form, key, &at, found),
            None => {}
        }
    }
}

fn unknown(form: &Form, key: &str, at: &Pointer<'_>, found: &mut Found) {
    let key: String = key.chars().take(KEY).collect();
    let near = reverie_config::closest(&key, form.fields.iter().map(|field| field.name));
    found.add(
        at,
        match near {
            Some(near) => format!("is no parameter; did you mean {near}?"),
            None => "is no parameter".to_owned(),
        },
    );
}

fn integer(kind: &Kind, value: &mut Value, at: &Pointer<'_>, found: &mut Found) {
    let (min, max, step) = match *kind {
        Kind::Steps(min, max, step) => (min, max, step),
        Kind::Integer(min, max) => (min, max, 1),
        _ => return,
    };
    let fits = |number: &u64| (min..=max).contains(number) && number.is_multiple_of(step);
    match whole(value).filter(fits) {
        Some(number) => *value = number.into(),
        None => unexpected(kind, value, at, found),
    }
}

/// The value as a whole number, also if it is written with a fraction of zero.
fn whole(value: &Value) -> Option<u64> {
    /// Above this not every whole number has a value of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let exact = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
        // Whole and in range.
        exact.then_some(number as u64)
    })
}

fn blend(kind: &Kind, parts: &mut [Value], at: &Pointer<'_>, found: &mut Found) {
    let mut all_zero = true;
    for (index, part) in parts.iter_mut().enumerate() {
        let at = at.index(index);
        if let Some([value, weight]) = part.as_array_mut().map(Vec::as_mut_slice) {
            check(kind, value, &at.index(0), found);
            check(&WEIGHT, weight, &at.index(1), found);
            all_zero &= weight.as_f64() == Some(0.0);
        } else {
            found.add(
                &at,
                format!("expected [value, weight], got {}", short(part)),
            );
            all_zero = false;
        }
    }
    if all_zero {
        found.add(at, "the sum of the weights is 0; one must be larger");
    }
}

fn processor(value: &mut Value, at: &Pointer<'_>, found: &mut Found) {
    for setting in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(number) = whole(setting) {
            *setting = number.into();
        }
    }
    if let Err(fault) = Spec::parse(value) {
        found.add_below(at, &fault.pointer, fault.reason);
    }
}

fn unexpected(kind: &Kind, value: &Value, at: &Pointer<'_>, found: &mut Found) {
    found.add(
        at,
        format!("expected {}, got {}", kind.expected(), short(value)),
    );
}

/// The value as it may stand in a message.
fn short(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
        value => {
            let text = value.to_string();
            if text.chars().count() <= SHOWN {
                return text;
            }
            let start: String = text.chars().take(SHOWN).collect();
            format!("{start}...")
        }
    }
}

/// True for a path that stays below the directory it is in, on every system, and names no hidden file.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c != '\\' && c != ':' && !c.is_control();
    text.len() <= PATH
        && text.chars().all(plain)
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// Names of what differs between two documents that were checked, by what the change takes.
pub(super) fn differ(
    field: &Field,
    old: &Value,
    new: &Value,
    name: &str,
    tell: &mut impl FnMut(Effect, String),
) {
    if old == new {
        return;
    }
    let inner = match &field.kind {
        Kind::Optional(kind) => kind,
        kind => kind,
    };
    match (inner, old, new) {
        (Kind::Object(form), Value::Object(_), Value::Object(_)) => {
            within(form, old, new, name, tell);
        }
        (Kind::List(_, _, Kind::Object(form)), Value::Array(old), Value::Array(new))
            if old.len() == new.len() =>
        {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                within(form, old, new, &format!("{name}[{index}]"), tell);
            }
        }
        _ if field.kind.reloads() => tell(Effect::Reload, name.to_owned()),
        _ => tell(field.effect, name.to_owned()),
    }
}

fn within(
    form: &Form,
    old: &Value,
    new: &Value,
    name: &str,
    tell: &mut impl FnMut(Effect, String),
) {
    for field in form.fields {
        let name = format!("{name}.{}", field.name);
        differ(field, &old[field.name], &new[field.name], &name, tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_directory_of_models() {
        for path in [
            "stabilityai/sd-turbo",
            "a",
            "lora/x (1).safetensors",
            "a/b/c.d-e_f",
        ] {
            assert!(is_path(path), "{path}");
        }
        let long = "x".repeat(256);
        for path in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "./a",
            "a/",
            "a//b",
            "a\\b",
            "C:a",
            "a\0",
            "a\n",
            ".hidden",
            &long,
        ] {
            assert!(!is_path(path), "{path:?}");
        }
    }

    #[test]
    fn whole_numbers_may_have_a_fraction_of_zero() {
        assert_eq!(whole(&serde_json::json!(12.0)), Some(12));
        assert_eq!(whole(&serde_json::json!(u64::MAX)), Some(u64::MAX));
        for wrong in [
            serde_json::json!(12.5),
            serde_json::json!(-1),
            serde_json::json!(1e300),
            serde_json::json!("12"),
        ] {
            assert_eq!(whole(&wrong), None, "{wrong}");
        }
    }
}
