//! The section `models`: where models are, and where missing ones come from.

use std::path::PathBuf;

use crate::kind::{Folder, Text};
use crate::visit::Visitor;

/// The section `models`.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// The directory of models: folders in the layout of diffusers, usually `owner/name`; relative to the working directory.
    pub dir: PathBuf,
    /// The hub that `reverie model fetch` loads from, without a slash at its end.
    pub fetch_endpoint: String,
}

impl Models {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("models.dir", &mut self.dir, Folder);
        visitor.key("models.fetch_endpoint", &mut self.fetch_endpoint, ENDPOINT);
    }
}

impl Default for Models {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("reverie-data/models"),
            fetch_endpoint: "https://huggingface.co".to_owned(),
        }
    }
}

const ENDPOINT: Text = Text {
    expected: "a URL with http or https and without a slash at its end",
    check: is_endpoint,
};

/// Whether a path can be appended to it.
pub(crate) fn is_endpoint(text: &str) -> bool {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.ends_with('/') && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_to_which_a_path_can_be_appended() {
        for good in ["https://huggingface.co", "http://127.0.0.1:9000/hub"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "huggingface.co",
            "https://",
            "https://x/",
            "ftp://x",
            "https://a b",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
