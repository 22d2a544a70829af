//! Whose request it is, as a viewer: the one place that knows.

use axum::http::HeaderMap;
use reverie_moments::life::{Moment, Viewer};
use serde::Deserialize;

use super::App;
use super::extract::allow;
use super::problem::Problem;
use crate::auth::Need;

/// Of whom something is asked that is a viewer's own.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    pub(super) channel: String,
    viewer: String,
}

/// Who acts on a moment: whoever has the control token acts for its viewer.
pub(super) fn of_moment(
    app: &App,
    headers: &HeaderMap,
    moment: &Moment,
) -> Result<Viewer, Problem> {
    allow(app, headers, Need::Control)?;
    Ok(moment.viewer.clone())
}

/// Who asks for what is their own: whoever has the control token says for whom.
pub(super) fn of_request(app: &App, headers: &HeaderMap, asked: &Asked) -> Result<Viewer, Problem> {
    allow(app, headers, Need::Control)?;
    Ok(Viewer {
        opaque: asked.viewer.clone(),
        id: Some(asked.viewer.clone()),
        name: None,
    })
}
