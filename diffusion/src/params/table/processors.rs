//! The part of the table that is about picture processors.

use super::super::Spec;
use super::Kind::{Choice, Number, Path};
use super::{Field, Form, fill, hot, required};

/// Where a processor stands, beside its own fields.
pub(in crate::params) static PLACE: Field = hot(
    "place",
    Choice(&["before", "after"], &[]),
    "Before or after the model.",
);

/// A picture processor by name.
#[derive(Debug)]
pub(in crate::params) struct Known {
    pub(in crate::params) name: &'static str,
    pub(in crate::params) form: Form,
    pub(in crate::params) about: &'static str,
}

/// All picture processors.
pub(in crate::params) static PROCESSORS: &[Known] = &[
    known("passthrough", &[], "The picture as it is."),
    known(
        "canny",
        &[
            hot(
                "low_threshold",
                Number(0.0, 2000.0),
                "An edge goes on above this.",
            ),
            hot(
                "high_threshold",
                Number(0.0, 2000.0),
                "An edge begins above this.",
            ),
        ],
        "White edges on black.",
    ),
    known("soft_edge", &[], "Soft edges of three sizes."),
    known(
        "feedback",
        &[hot(
            "feedback_strength",
            Number(0.0, 1.0),
            "Share of the last picture.",
        )],
        "Mixes in the last picture that came out.",
    ),
    known(
        "blur",
        &[hot(
            "blur_intensity",
            Number(0.0, 20.0),
            "Standard deviation in pixels.",
        )],
        "Gaussian blur.",
    ),
    known(
        "sharpen",
        &[
            hot(
                "sharpen_intensity",
                Number(0.0, 10.0),
                "Times the difference from the blurred picture that is added.",
            ),
            hot(
                "unsharp_radius",
                Number(0.1, 20.0),
                "Standard deviation of that blur in pixels.",
            ),
        ],
        "Unsharp mask.",
    ),
    known(
        "upscale",
        &[hot(
            "upscale_factor",
            Number(1.0, 4.0),
            "Times width and height.",
        )],
        "A larger picture.",
    ),
    known(
        "latent_feedback",
        &[hot(
            "feedback_strength",
            Number(0.0, 1.0),
            "Share of the last latent.",
        )],
        "Mixes in the last latent that came out.",
    ),
    known(
        "texture",
        &[
            required(hot("image", Path, "A picture file below `models.dir`.")),
            hot("weight", Number(0.0, 1.0), "Its share."),
        ],
        "Lays a picture over it.",
    ),
];

const fn known(name: &'static str, fields: &'static [Field], about: &'static str) -> Known {
    Known {
        name,
        form: Form {
            fields,
            fill: fill::<Spec>,
        },
        about,
    }
}

impl Known {
    /// The processor of that name.
    pub(in crate::params) fn find(name: &str) -> Option<&'static Self> {
        PROCESSORS.iter().find(|known| known.name == name)
    }

    /// True if the name alone says all.
    pub(in crate::params) fn is_complete(&self) -> bool {
        self.form.required().next().is_none()
    }
}
