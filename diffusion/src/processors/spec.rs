//! Which processors there are, and one of them as JSON has it: `{"type": "canny", "low_threshold": 80}`.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value, json};

use super::settings::{self, Fault, Settings};
use super::{blur, canny, feedback, latent_feedback, plain, sharpen, texture, upscale};

/// Where in the way of a picture a processor stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Between the camera and the diffusion.
    #[default]
    Before,
    /// Between the diffusion and the viewer.
    After,
}

/// One processor with its settings. In JSON one flat object: `type`, `place`, `enabled` and the settings; or the
/// type alone.
///
/// Reading it refuses unknown fields and values out of range; [`Spec::parse`] says also where they stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    /// What it does.
    #[serde(flatten)]
    pub kind: Kind,
    /// Before (the default) or after the diffusion. Without diffusion first all of the one, then all of the other.
    pub place: Place,
    /// Off, it is kept but does nothing.
    pub enabled: bool,
}

/// The fields that every processor has.
const COMMON: [&str; 3] = ["type", "place", "enabled"];

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:literal $variant:ident($settings:ty),)*) => {
        /// What a processor does, with its settings.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $variant($settings),)*
        }

        impl Kind {
            /// Values of `type`.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            fn parse(name: &str, given: Map<String, Value>) -> Result<Self, Fault> {
                match name {
                    $($name => settings::parse(given, &COMMON).map(Self::$variant),)*
                    _ => Err(Fault::at(
                        "type",
                        format!("unknown processor {name:?}; there are {}", Self::NAMES.join(", ")),
                    )),
                }
            }

            fn check(&self) -> Result<(), Fault> {
                match self {
                    $(Self::$variant(settings) => settings::check(settings),)*
                }
            }

            fn schemas() -> Vec<Value> {
                vec![$(schema_of::<$settings>($name),)*]
            }
        }
    };
}

kinds! {
    /// The picture as it is.
    "passthrough" Passthrough(plain::Passthrough),
    /// White edges on black.
    "canny" Canny(canny::Settings),
    /// Broad grey edges.
    "soft_edge" SoftEdge(plain::SoftEdge),
    /// A mix with the picture that was put out last.
    "feedback" Feedback(feedback::Settings),
    /// A Gaussian blur.
    "blur" Blur(blur::Settings),
    /// Unsharp masking, edges and details.
    "sharpen" Sharpen(sharpen::Settings),
    /// A larger picture.
    "upscale" Upscale(upscale::Settings),
    /// A mix of the latent with the one that was put out last; done by the stream, for pictures nothing.
    "latent_feedback" LatentFeedback(latent_feedback::Settings),
    /// A still picture laid over.
    "texture" Texture(texture::Settings),
}

impl Spec {
    /// `kind` before the diffusion.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            place: Place::Before,
            enabled: true,
        }
    }

    /// Reads one processor.
    ///
    /// # Errors
    /// The first [`Fault`]: no object, an unknown type or field, a value of another type or out of range.
    pub fn parse(value: &Value) -> Result<Self, Fault> {
        let mut fields = match value {
            Value::Object(fields) => fields.clone(),
            Value::String(_) => Map::from_iter([("type".to_owned(), value.clone())]),
            _ => return Err(Fault::whole("a processor is an object with a `type`")),
        };
        let Some(Value::String(name)) = fields.remove("type") else {
            let names = Kind::NAMES.join(", ");
            return Err(Fault::at("type", format!("must be one of {names}")));
        };
        let place = common(&mut fields, "place", Place::Before)?;
        let enabled = common(&mut fields, "enabled", true)?;
        let spec = Self {
            kind: Kind::parse(&name, fields)?,
            place,
            enabled,
        };
        spec.check()?;
        Ok(spec)
    }

    /// Whether all settings are within their ranges, which a value made by hand need not be.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn check(&self) -> Result<(), Fault> {
        if self.on_latent() && self.place == Place::After {
            return Err(Fault::at("place", "latent_feedback can only be before"));
        }
        self.kind.check()
    }

    /// True for what the diffusion does on its latents; pictures alone have none.
    #[must_use]
    pub const fn on_latent(&self) -> bool {
        matches!(self.kind, Kind::LatentFeedback(_))
    }

    /// The JSON Schema (2020-12) of one processor.
    #[must_use]
    pub fn schema() -> Value {
        let mut all = Kind::schemas();
        let alone = |name: &&&str| Self::parse(&json!(name)).is_ok();
        let names: Vec<_> = Kind::NAMES.iter().filter(alone).collect();
        all.push(json!({ "type": "string", "enum": names }));
        json!({ "oneOf": all })
    }
}

impl Default for Spec {
    /// The picture as it is.
    fn default() -> Self {
        Self::new(Kind::Passthrough(super::plain::Passthrough::default()))
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn common<T: for<'de> Deserialize<'de>>(
    fields: &mut Map<String, Value>,
    name: &str,
    default: T,
) -> Result<T, Fault> {
    fields.remove(name).map_or(Ok(default), |value| {
        serde_json::from_value(value).map_err(|error| Fault::at(name, error.to_string()))
    })
}

fn schema_of<S: Settings>(name: &str) -> Value {
    let mut properties = settings::properties::<S>();
    properties.insert("type".to_owned(), json!({ "const": name }));
    let places = json!({ "type": "string", "enum": ["before", "after"], "default": "before" });
    properties.insert("place".to_owned(), places);
    let flag = json!({ "type": "boolean", "default": true });
    properties.insert("enabled".to_owned(), flag);
    json!({
        "type": "object",
        "properties": properties,
        "required": ["type"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(value: Value) -> (String, String) {
        let fault = Spec::parse(&value).expect_err("should be refused");
        (fault.pointer, fault.reason)
    }

    #[test]
    fn every_processor_can_be_had_with_its_type_alone_but_the_texture() {
        for name in Kind::NAMES.iter().filter(|name| **name != "texture") {
            let spec = Spec::parse(&json!({ "type": name })).unwrap();
            assert_eq!((spec.place, spec.enabled), (Place::Before, true), "{name}");
            assert_eq!(serde_json::to_value(&spec).unwrap()["type"], **name);
            assert_eq!(Spec::parse(&json!(name)).unwrap(), spec);
        }
        assert_eq!(fault(json!({ "type": "texture" })).0, "/image");
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let value = json!({
            "type": "canny", "place": "after", "enabled": false, "low_threshold": 80, "high_threshold": 80,
        });
        let spec: Spec = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), value);
    }

    #[test]
    fn a_fault_points_at_the_field() {
        for (value, pointer, part) in [
            (json!(1), "", "object"),
            (json!("cannny"), "/type", "canny"),
            (json!({}), "/type", "soft_edge"),
            (json!({ "type": "cannny" }), "/type", "canny"),
            (
                json!({ "type": "canny", "low": 1 }),
                "/low",
                "low_threshold",
            ),
            (
                json!({ "type": "blur", "a/b": 1 }),
                "/a~1b",
                "blur_intensity",
            ),
            (
                json!({ "type": "canny", "low_threshold": 0 }),
                "/low_threshold",
                "1 to 2040",
            ),
            (
                json!({ "type": "canny", "low_threshold": -1 }),
                "/low_threshold",
                "-1",
            ),
            (
                json!({ "type": "canny", "low_threshold": 201 }),
                "/low_threshold",
                "200",
            ),
            (
                json!({ "type": "blur", "kernel_size": 4 }),
                "/kernel_size",
                "odd",
            ),
            (
                json!({ "type": "blur", "blur_intensity": "2" }),
                "/blur_intensity",
                "f64",
            ),
            (
                json!({ "type": "upscale", "algorithm": "best" }),
                "/algorithm",
                "lanczos",
            ),
            (
                json!({ "type": "blur", "place": "above" }),
                "/place",
                "before",
            ),
            (
                json!({ "type": "blur", "enabled": 1 }),
                "/enabled",
                "boolean",
            ),
            (
                json!({ "type": "texture", "image": "../key.png" }),
                "/image",
                "folder",
            ),
            (
                json!({ "type": "latent_feedback", "place": "after" }),
                "/place",
                "before",
            ),
        ] {
            let (at, reason) = fault(value.clone());
            assert_eq!(at, pointer, "{value}");
            assert!(reason.contains(part), "{value}: {reason}");
        }
    }

    #[test]
    fn the_schema_knows_every_field_with_its_range_and_default() {
        let schema = Spec::schema();
        let all = schema["oneOf"].as_array().unwrap();
        assert_eq!(all.len(), Kind::NAMES.len() + 1);
        let canny = &all[1]["properties"];
        assert_eq!(canny["type"]["const"], "canny");
        let low = json!({ "type": "integer", "default": 100, "minimum": 1, "maximum": 2040 });
        assert_eq!(canny["low_threshold"], low);
        let upscale = &all[6]["properties"];
        assert_eq!(upscale["algorithm"]["enum"][2], "lanczos");
        for (name, schema) in Kind::NAMES.iter().zip(all) {
            for (field, schema) in schema["properties"].as_object().unwrap() {
                let ranged = !matches!(schema["type"].as_str(), Some("number" | "integer"));
                assert!(
                    ranged || schema["minimum"].is_number(),
                    "{name}/{field} has no range"
                );
            }
        }
    }
}
