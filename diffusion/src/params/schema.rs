//! The table of parameters for other programs and for people: as JSON Schema, and as Markdown.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::check;
use super::table::{ALL, Effect, Field, Form, Kind, PARTS, WEIGHT};
use crate::processors::Spec;
use crate::still;

/// Regular expression (ECMA-262) of a path.
const PATH: &str = r"^[^./\\:\u0000-\u001f\u007f-\u009f][^/\\:\u0000-\u001f\u007f-\u009f]*(/[^./\\:\u0000-\u001f\u007f-\u009f][^/\\:\u0000-\u001f\u007f-\u009f]*)*$";

/// Regular expression of a picture as a `data:` URL.
const PICTURE: &str = "^data:image/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2}$";

/// All parameters as a JSON Schema, draft 2020-12. What loads the model anew when it changes has `x-reload: true`;
/// in a patch, null stands for the default.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(&ALL, json!({}));
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Parameters of a pipeline".into();
    schema["$defs"] = json!({ "processor": Spec::schema() });
    schema
}

/// `least` is what must be there beside the required fields.
fn object(form: &Form, least: Value) -> Value {
    let defaults = defaults(form, least);
    let mut properties = Map::new();
    for field in form.fields {
        let default = defaults.get(field.name).filter(|_| !field.required);
        properties.insert(field.name.to_owned(), property(field, default));
    }
    let required: Vec<_> = form.required().map(|field| field.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(field: &Field, default: Option<&Value>) -> Value {
    let mut schema = of(&field.kind);
    schema["description"] = field.about.into();
    if field.effect == Effect::Reload {
        schema["x-reload"] = true.into();
    }
    if let Some(default) = default {
        schema["default"] = default.clone();
    }
    schema
}

/// A document of that form that says no more than it must, with everything that is then filled in.
fn defaults(form: &Form, mut least: Value) -> Value {
    for field in form.required() {
        least[field.name] = match field.kind {
            Kind::Integer(min, _) => min.into(),
            _ => "x".into(),
        };
    }
    (form.fill)(least).unwrap_or_default()
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Steps(min, max, step) => {
            json!({ "type": "integer", "minimum": min, "maximum": max, "multipleOf": step })
        }
        Kind::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Text(max) => json!({ "type": "string", "maxLength": max }),
        Kind::Path => json!({ "type": "string", "maxLength": check::PATH, "pattern": PATH }),
        Kind::Picture => json!({ "anyOf": [
            of(&Kind::Path),
            { "type": "string", "maxLength": still::LONGEST, "pattern": PICTURE },
        ] }),
        Kind::Choice(words, aliases) => {
            let all: Vec<_> = words.iter().chain(*aliases).collect();
            json!({ "enum": all })
        }
        Kind::Optional(kind) => json!({ "anyOf": [{ "type": "null" }, of(kind)] }),
        Kind::List(min, max, kind) => {
            json!({ "type": "array", "minItems": min, "maxItems": max, "items": of(kind) })
        }
        Kind::Map(max, kind) => json!({
            "type": "object",
            "maxProperties": max,
            "propertyNames": of(&Kind::Path),
            "additionalProperties": of(kind),
        }),
        Kind::Object(form) => object(form, json!({})),
        Kind::Blend(kind) => json!({ "anyOf": [of(kind), parts(kind)] }),
        Kind::Processor => json!({ "$ref": "#/$defs/processor" }),
    }
}

fn parts(kind: &Kind) -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "maxItems": PARTS,
        "items": {
            "type": "array",
            "prefixItems": [of(kind), of(&WEIGHT)],
            "minItems": 2,
            "items": false,
        },
        // One weight must be larger than 0.
        "contains": {
            "type": "array",
            "prefixItems": [true, { "exclusiveMinimum": 0 }],
        },
    })
}

/// All parameters as a Markdown table, and the picture processors as another.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| parameter | accepts | default | change | |\n|---|---|---|---|---|\n");
    rows(&mut text, &ALL, json!({}), "");
    text.push_str("\n| processor | setting | accepts | default |\n|---|---|---|---|\n");
    let schema = Spec::schema();
    for form in schema["oneOf"].as_array().into_iter().flatten() {
        settings(&mut text, &form["properties"]);
    }
    text
}

/// The rows of one processor; the settings that all have are told in words.
fn settings(text: &mut String, properties: &Value) {
    let Some(name) = properties["type"]["const"].as_str() else {
        return;
    };
    let mut first = format!("`{name}`");
    let own = |key: &&String| !["type", "place", "enabled"].contains(&key.as_str());
    let all = properties.as_object();
    for key in all.into_iter().flat_map(Map::keys).filter(own) {
        let setting = &properties[key];
        let accepts = match (&setting["enum"], &setting["minimum"]) {
            (Value::Array(words), _) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                format!("one of {}", words.join(", "))
            }
            (_, Value::Null) => setting["type"].as_str().unwrap_or_default().to_owned(),
            (_, min) => format!(
                "{} from {min} to {}",
                setting["type"].as_str().unwrap_or_default(),
                setting["maximum"]
            ),
        };
        let default = &setting["default"];
        let _ = writeln!(text, "| {first} | `{key}` | {accepts} | `{default}` |");
        first.clear();
    }
    if !first.is_empty() {
        let _ = writeln!(text, "| {first} | | | |");
    }
}

fn rows(text: &mut String, form: &Form, least: Value, before: &str) {
    let defaults = defaults(form, least);
    for field in form.fields {
        let name = format!("{before}{}", field.name);
        let change = if field.effect == Effect::Reload {
            "reload"
        } else {
            "hot"
        };
        let default = default_of(field, &defaults);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{name}` | {} | {default} | {change} | {} |",
            field.kind.expected(),
            field.about
        );
        match &field.kind {
            Kind::List(_, _, Kind::Object(inner)) => {
                rows(text, inner, json!({}), &format!("{name}[*]."))
            }
            Kind::Optional(Kind::Object(inner)) => {
                rows(text, inner, json!({}), &format!("{name}."))
            }
            _ => {}
        }
    }
}

fn default_of(field: &Field, defaults: &Value) -> String {
    if field.required {
        return "required".to_owned();
    }
    format!("`{}`", defaults[field.name])
}
