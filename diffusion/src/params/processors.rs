//! Picture processors that need no weights, by name and with their numbers.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What a processor does. In JSON an object with `type` and its numbers, or the name alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Spec {
    /// The picture as it is.
    #[default]
    Passthrough,
    /// White edges on black after Canny.
    Canny(Canny),
    /// Soft edges of three sizes.
    SoftEdge,
    /// Mixes in the last picture that came out.
    Feedback(Feedback),
    /// Gaussian blur.
    Blur(Blur),
    /// Unsharp mask.
    Sharpen(Sharpen),
    /// A larger picture.
    Upscale(Upscale),
    /// Mixes in the last latent that came out, before the first step.
    LatentFeedback(LatentFeedback),
    /// Lays a picture over it.
    Texture(Texture),
}

/// Where a processor stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before the model.
    #[default]
    Before,
    /// After it.
    After,
}

/// A processor in its place. In JSON a [`Spec`] with one more field, `place`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Processor {
    /// Where.
    pub place: Place,
    /// What.
    pub spec: Spec,
}

/// Thresholds of the gradient of an 8-bit luma picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canny {
    /// An edge goes on above this.
    pub low_threshold: f64,
    /// An edge begins above this.
    pub high_threshold: f64,
}

impl Default for Canny {
    fn default() -> Self {
        Self {
            low_threshold: 100.0,
            high_threshold: 200.0,
        }
    }
}

/// See [`Spec::Feedback`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feedback {
    /// Share of the last picture, 0..=1.
    pub feedback_strength: f64,
}

impl Default for Feedback {
    fn default() -> Self {
        Self {
            feedback_strength: 0.5,
        }
    }
}

/// See [`Spec::LatentFeedback`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatentFeedback {
    /// Share of the last latent, 0..=1.
    pub feedback_strength: f64,
}

impl Default for LatentFeedback {
    fn default() -> Self {
        Self {
            feedback_strength: 0.15,
        }
    }
}

/// See [`Spec::Blur`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Standard deviation in pixels.
    pub blur_intensity: f64,
}

impl Default for Blur {
    fn default() -> Self {
        Self {
            blur_intensity: 2.0,
        }
    }
}

/// See [`Spec::Sharpen`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharpen {
    /// Times the difference from the blurred picture that is added.
    pub sharpen_intensity: f64,
    /// Standard deviation of that blur in pixels.
    pub unsharp_radius: f64,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self {
            sharpen_intensity: 1.5,
            unsharp_radius: 1.0,
        }
    }
}

/// See [`Spec::Upscale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upscale {
    /// Times width and height.
    pub upscale_factor: f64,
}

impl Default for Upscale {
    fn default() -> Self {
        Self {
            upscale_factor: 2.0,
        }
    }
}

/// See [`Spec::Texture`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texture {
    /// A picture file below the directory of models.
    pub image: String,
    /// Its share, 0..=1.
    #[serde(default = "half")]
    pub weight: f64,
}

fn half() -> f64 {
    0.5
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut fields = match Value::deserialize(from)? {
            Value::String(name) => Map::from_iter([("type".to_owned(), Value::String(name))]),
            Value::Object(fields) => fields,
            _ => return Err(D::Error::custom("expected a processor or its name")),
        };
        let Some(Value::String(name)) = fields.remove("type") else {
            return Err(D::Error::missing_field("type"));
        };
        Self::read(&name, fields).map_err(D::Error::custom)
    }
}

impl Spec {
    fn read(name: &str, fields: Map<String, Value>) -> Result<Self, serde_json::Error> {
        fn numbers<T: for<'de> Deserialize<'de>>(
            fields: Map<String, Value>,
        ) -> Result<T, serde_json::Error> {
            T::deserialize(Value::Object(fields))
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        Ok(match name {
            "passthrough" => numbers::<Nothing>(fields).map(|_| Self::Passthrough)?,
            "canny" => Self::Canny(numbers(fields)?),
            "soft_edge" => numbers::<Nothing>(fields).map(|_| Self::SoftEdge)?,
            "feedback" => Self::Feedback(numbers(fields)?),
            "blur" => Self::Blur(numbers(fields)?),
            "sharpen" => Self::Sharpen(numbers(fields)?),
            "upscale" => Self::Upscale(numbers(fields)?),
            "latent_feedback" => Self::LatentFeedback(numbers(fields)?),
            "texture" => Self::Texture(numbers(fields)?),
            other => {
                return Err(serde_json::Error::custom(format!(
                    "unknown processor {other:?}"
                )));
            }
        })
    }
}

impl Serialize for Processor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            place: Place,
            #[serde(flatten)]
            spec: &'a Spec,
        }
        Flat {
            place: self.place,
            spec: &self.spec,
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Processor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(from)?;
        let place = match value
            .as_object_mut()
            .and_then(|fields| fields.remove("place"))
        {
            Some(place) => Place::deserialize(place).map_err(D::Error::custom)?,
            None => Place::default(),
        };
        let spec = Spec::deserialize(value).map_err(D::Error::custom)?;
        Ok(Self { place, spec })
    }
}
