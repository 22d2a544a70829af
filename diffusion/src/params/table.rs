//! The one table of all parameters: what each accepts, and whether changing it loads the model anew.
//!
//! The check, the plan of a change, the JSON Schema and the table in the documentation are made from it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ControlNet, IpAdapter, Params, Transition};
use crate::still;
use Kind::{
    Blend, Choice, Flag, Integer, List, Map, Number, Object, Optional, Path, Picture, Steps, Text,
};

/// Largest seed: what libtorch's generator takes.
const SEED: u64 = i64::MAX.unsigned_abs();
/// Characters of a prompt.
const PROMPT: usize = 2000;

/// A named value.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) effect: Effect,
    /// It has no default.
    pub(super) required: bool,
    /// One sentence.
    pub(super) about: &'static str,
}

/// The fields of an object.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) fields: &'static [Field],
    /// Reads a document and writes it with everything that has a default.
    pub(super) fill: fn(Value) -> Option<Value>,
}

/// What a change takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It holds from the next frame on.
    Hot,
    /// The model is loaded anew beside the running one.
    Reload,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Kind {
    Flag,
    /// A whole number.
    Integer(u64, u64),
    /// A whole number and a multiple of the third one.
    Steps(u64, u64, u64),
    Number(f64, f64),
    /// At most so many characters.
    Text(usize),
    /// A path below the directory of models.
    Path,
    /// Such a path, or a picture as a `data:` URL.
    Picture,
    /// One of these words; those of the second list are read too, but not written.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// This or null.
    Optional(&'static Self),
    /// So many of these.
    List(usize, usize, &'static Self),
    /// Paths, each with one of these; at most so many.
    Map(usize, &'static Self),
    Object(&'static Form),
    /// One, or several with weights.
    Blend(&'static Self),
    /// A [`crate::processors::Spec`].
    Processor,
}

fn fill<T: Serialize + DeserializeOwned>(value: Value) -> Option<Value> {
    let read: T = serde_json::from_value(value).ok()?;
    serde_json::to_value(read).ok()
}

const fn hot(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        effect: Effect::Hot,
        required: false,
        about,
    }
}

const fn reload(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        effect: Effect::Reload,
        ..hot(name, kind, about)
    }
}

const fn required(field: Field) -> Field {
    Field {
        required: true,
        ..field
    }
}

/// Several values that are blended.
pub(super) const PARTS: usize = 8;
/// Range of a weight of these.
pub(super) const WEIGHT: Kind = Number(0.0, 1000.0);
const INTERPOLATION: Kind = Choice(&["linear", "slerp"], &[]);

/// Everything, in the order of [`super::Params`].
pub(super) static ALL: Form = Form {
    fields: FIELDS,
    fill: fill::<Params>,
};

static FIELDS: &[Field] = &[
    reload(
        "model_id",
        Path,
        "The model: a folder below `models.dir`, usually `owner/name`.",
    ),
    reload(
        "vae_id",
        Optional(&Path),
        "Another autoencoder than the model's own, for example TAESD.",
    ),
    hot(
        "prompt",
        Blend(&Text(PROMPT)),
        "What the picture shall look like.",
    ),
    hot(
        "prompt_interpolation_method",
        INTERPOLATION,
        "How several prompts are blended; `slerp` holds for exactly two.",
    ),
    hot(
        "normalize_prompt_weights",
        Flag,
        "Divide the weights of several prompts by their sum.",
    ),
    hot(
        "negative_prompt",
        Text(PROMPT),
        "What it shall not look like; used while `cfg_type` is `full` or `initialize`.",
    ),
    hot(
        "guidance_scale",
        Number(0.0, 30.0),
        "How far the picture is pushed toward the prompt; up to 1 there is no guidance.",
    ),
    hot(
        "delta",
        Number(0.0, 10.0),
        "Strength of the noise that stands for the negative prompt.",
    ),
    hot(
        "num_inference_steps",
        Integer(1, 50),
        "Length of the schedule that `t_index_list` counts in.",
    ),
    hot(
        "t_index_list",
        List(1, 4, &Integer(0, 49)),
        "The steps of the schedule that are done: rising, each below `num_inference_steps`.",
    ),
    hot("seed", Blend(&Integer(0, SEED)), "Seed of the noise."),
    hot(
        "seed_interpolation_method",
        INTERPOLATION,
        "How the noise of several seeds is blended; `slerp` holds for exactly two.",
    ),
    hot(
        "normalize_seed_weights",
        Flag,
        "Divide the weights of several seeds by their sum.",
    ),
    hot(
        "cfg_type",
        Optional(&Choice(&["none", "full", "self", "initialize"], &[])),
        "Guidance; null is `none` for turbo models and `self` for others.",
    ),
    hot("do_add_noise", Flag, "Add fresh noise between the steps."),
    reload(
        "frame_buffer_size",
        Integer(1, 4),
        "Frames that are computed at once.",
    ),
    reload(
        "use_denoising_batch",
        Flag,
        "Compute all steps in one call of the UNet, each on another frame.",
    ),
    reload(
        "width",
        Steps(384, 1024, 64),
        "Width of the model's picture in pixels.",
    ),
    reload(
        "height",
        Steps(384, 1024, 64),
        "Height of the model's picture in pixels.",
    ),
    hot(
        "fit",
        Choice(&["stretch", "crop"], &[]),
        "What becomes of frames of another shape: `stretch` squeezes all of it, `crop` takes the middle and blackens the rest.",
    ),
    reload(
        "lora_dict",
        Map(8, &Number(-10.0, 10.0)),
        "LoRA files below `models.dir`, and the scale of each.",
    ),
    reload(
        "acceleration",
        Choice(
            &["auto", "none", "sdpa", "graphs"],
            &["xformers", "tensorrt"],
        ),
        "Which fast paths may be taken; `xformers` is read as `sdpa`, `tensorrt` as `graphs`.",
    ),
    hot(
        "controlnets",
        List(0, 4, &Object(&CONTROLNET)),
        "ControlNets, whose residuals are summed.",
    ),
    hot(
        "ip_adapter",
        Optional(&Object(&IP_ADAPTER)),
        "A picture beside the prompt.",
    ),
    hot(
        "enable_similar_image_filter",
        Flag,
        "Skip frames that hardly differ from the last one that was computed.",
    ),
    hot(
        "similar_image_filter_threshold",
        Number(0.0, 1.0),
        "Cosine similarity from which a frame may be skipped.",
    ),
    hot(
        "similar_image_filter_max_skip_frame",
        Integer(0, 1000),
        "So many frames are skipped in a row at most.",
    ),
    hot(
        "transition",
        Optional(&Object(&TRANSITION)),
        "Go to another prompt over some frames; its target is the prompt from then on.",
    ),
    hot(
        "processors",
        List(0, 8, &Kind::Processor),
        "Picture processors that need no weights, in order.",
    ),
    reload(
        "skip_diffusion",
        Flag,
        "Leave out the model: only processors.",
    ),
];

static CONTROLNET: Form = Form {
    fill: fill::<ControlNet>,
    fields: &[
        required(reload("model_id", Path, "Its folder below `models.dir`.")),
        hot(
            "conditioning_scale",
            Number(0.0, 2.0),
            "Strength; 0 leaves it out.",
        ),
        hot(
            "preprocessor",
            Kind::Processor,
            "What makes its picture of the camera's.",
        ),
    ],
};

static IP_ADAPTER: Form = Form {
    fill: fill::<IpAdapter>,
    fields: &[
        required(reload("model_id", Path, "Its folder below `models.dir`.")),
        hot(
            "image",
            Optional(&Picture),
            "What it shows: a PNG or JPEG file below `models.dir`, or the picture itself; null is the camera's picture.",
        ),
        hot("scale", Number(0.0, 2.0), "Strength; 0 leaves it out."),
    ],
};

static TRANSITION: Form = Form {
    fill: fill::<Transition>,
    fields: &[
        required(hot(
            "target",
            Blend(&Text(PROMPT)),
            "The prompt at its end.",
        )),
        required(hot("num_steps", Integer(1, 1000), "Frames it takes.")),
    ],
};

impl Form {
    /// The field of that name.
    pub(super) fn find(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Those without a default.
    pub(super) fn required(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.required)
    }
}

impl Kind {
    /// In words, after "expected".
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Steps(min, max, step) => {
                format!("a multiple of {step} from {min} to {max}")
            }
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Text(max) => format!("a text of at most {max} characters"),
            Self::Path => "a path without . and .. inside the directory of models".to_owned(),
            Self::Picture => format!(
                "{}, or a picture as {}...",
                Self::Path.expected(),
                still::PREFIXES.join("... or ")
            ),
            Self::Choice(words, _) => format!("one of {}", words.join(", ")),
            Self::Optional(kind) => format!("null or {}", kind.expected()),
            Self::List(0, max, _) => format!("a list of at most {max}"),
            Self::List(min, max, _) => format!("a list of {min} to {max}"),
            Self::Map(max, _) => format!("an object of at most {max} paths with numbers"),
            Self::Object(_) => "an object".to_owned(),
            Self::Blend(kind) => format!(
                "{} or [[value, weight], ...] with 1 to {PARTS} of them",
                kind.expected()
            ),
            Self::Processor => "a processor: its type, or an object with `type`".to_owned(),
        }
    }

    /// True if changing something inside may load the model anew.
    pub(super) fn reloads(&self) -> bool {
        match self {
            Self::Optional(kind) | Self::List(_, _, kind) => kind.reloads(),
            Self::Object(form) => form
                .fields
                .iter()
                .any(|field| field.effect == Effect::Reload),
            _ => false,
        }
    }
}
