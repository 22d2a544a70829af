//! The part of JSON Schema (draft 2020-12) that the schema of parameters uses.

use serde_json::Value;

/// True if `value` is valid by `schema`, whose `$ref` point into `root`.
pub(crate) fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else {
        return schema
            .as_bool()
            .expect("a schema is an object or a boolean");
    };
    keywords
        .iter()
        .all(|(keyword, wanted)| follows(root, schema, keyword, wanted, value))
}

fn follows(root: &Value, schema: &Value, keyword: &str, wanted: &Value, value: &Value) -> bool {
    let number = value.as_f64();
    let length = value.as_str().map(|text| text.chars().count());
    let items = value.as_array();
    let entries = value.as_object();
    let limit = |got: Option<usize>, fits: fn(u64, u64) -> bool| {
        got.is_none_or(|got| fits(got as u64, wanted.as_u64().expect("a whole limit")))
    };
    let bound = |fits: fn(f64, f64) -> bool| {
        number.is_none_or(|got| fits(got, wanted.as_f64().expect("a bound")))
    };
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "default" | "x-reload" => true,
        "$ref" => {
            let pointer = wanted
                .as_str()
                .expect("a reference")
                .trim_start_matches('#');
            let target = root.pointer(pointer).expect("references resolve");
            accepts(root, target, value)
        }
        "type" => is_a(wanted.as_str().expect("a type"), value),
        "const" => value == wanted,
        "enum" => wanted.as_array().expect("a list").contains(value),
        "anyOf" => wanted
            .as_array()
            .expect("a list")
            .iter()
            .any(|schema| accepts(root, schema, value)),
        "oneOf" => {
            let all = wanted.as_array().expect("a list");
            let fits = all.iter().filter(|schema| accepts(root, schema, value));
            fits.count() == 1
        }
        "minimum" => bound(|got, min| got >= min),
        "exclusiveMinimum" => bound(|got, min| got > min),
        "maximum" => bound(|got, max| got <= max),
        "multipleOf" => bound(|got, step| got % step == 0.0),
        "maxLength" => limit(length, |got, max| got <= max),
        "minItems" => limit(items.map(Vec::len), |got, min| got >= min),
        "maxItems" => limit(items.map(Vec::len), |got, max| got <= max),
        "maxProperties" => limit(entries.map(serde_json::Map::len), |got, max| got <= max),
        // There are two patterns: that of a picture, and that of a path.
        "pattern" => {
            let picture = wanted
                .as_str()
                .is_some_and(|pattern| pattern.starts_with("^data:"));
            value
                .as_str()
                .is_none_or(if picture { is_picture } else { is_path })
        }
        "prefixItems" => items.is_none_or(|items| {
            let schemas = wanted.as_array().expect("a list");
            items
                .iter()
                .zip(schemas)
                .all(|(item, schema)| accepts(root, schema, item))
        }),
        "items" => items.is_none_or(|items| {
            let before = schema["prefixItems"].as_array().map_or(0, Vec::len);
            items
                .iter()
                .skip(before)
                .all(|item| accepts(root, wanted, item))
        }),
        "contains" => {
            items.is_none_or(|items| items.iter().any(|item| accepts(root, wanted, item)))
        }
        "required" => entries.is_none_or(|entries| {
            let names = wanted.as_array().expect("a list");
            names
                .iter()
                .all(|name| entries.contains_key(name.as_str().expect("a name")))
        }),
        "properties" => entries.is_none_or(|entries| {
            entries.iter().all(|(key, value)| {
                wanted
                    .get(key)
                    .is_none_or(|schema| accepts(root, schema, value))
            })
        }),
        "propertyNames" => entries.is_none_or(|entries| {
            entries
                .keys()
                .all(|key| accepts(root, wanted, &Value::String(key.clone())))
        }),
        "additionalProperties" => entries.is_none_or(|entries| {
            entries
                .iter()
                .filter(|(key, _)| schema["properties"].get(key).is_none())
                .all(|(_, value)| accepts(root, wanted, value))
        }),
        other => panic!("the schema uses {other:?}, which is not known here"),
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("unknown type {other:?}"),
    }
}

fn is_picture(text: &str) -> bool {
    let kinds = ["data:image/png;base64,", "data:image/jpeg;base64,"];
    let Some(data) = kinds.iter().find_map(|kind| text.strip_prefix(kind)) else {
        return false;
    };
    let bare = data.trim_end_matches('=');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    !bare.is_empty() && data.len() - bare.len() <= 2 && bare.chars().all(plain)
}

fn is_path(text: &str) -> bool {
    let odd = |c: char| matches!(c, '\\' | ':') || c.is_control();
    !text.contains(odd)
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}
