//! The boundary to libtorch, whose operations report failure by a panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Error;

/// Runs `work` without gradients, and gives libtorch's failures in it (out of memory, a shape that does not fit) as an
/// error. Other panics go on.
///
/// `work` may be left anywhere: it changes what outlives it only when nothing can fail any more.
///
/// # Errors
/// What `work` gives, or [`Error::Torch`].
pub fn guard<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _without_gradients = tch::no_grad_guard();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => match complaint(&*panic) {
            Some(complaint) => Err(Error::Torch(complaint)),
            None => resume_unwind(panic),
        },
    }
}

/// The first line of what libtorch said; the rest is addresses.
fn complaint(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>()?;
    let error = text.strip_prefix("called `Result::unwrap()` on an `Err` value: ")?;
    // The text of an error in its debug form, such as `Torch("first line\nsecond line")`.
    let (_, said) = error.split_once("(\"")?;
    let line = said.split("\\n").next().unwrap_or(said);
    Some(line.trim_end_matches("\")").replace("\\\"", "\""))
}
