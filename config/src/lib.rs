//! The configuration of Reverie as plain data: a TOML file, an overlay of environment variables, and every problem named at once.
//!
//! Reads one file and nothing else: no logging, no network, no global state.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! let env = BTreeMap::from([("REVERIE__HTTP__LISTEN".to_owned(), "127.0.0.1:9000".to_owned())]);
//! let config = reverie_config::load(None, &env)?;
//! assert_eq!(config.http.listen.port(), 9000);
//! # Ok::<(), reverie_config::Errors>(())
//! ```

#![forbid(unsafe_code)]

mod advertise;
mod auth;
mod diffusion;
mod environment;
mod error;
mod file;
mod grant;
mod http;
mod ice;
mod kind;
mod load;
mod log;
mod media;
mod metrics;
mod models;
mod moments;
mod network;
mod number;
mod pipeline;
mod product;
mod raw;
#[cfg(test)]
mod reference;
mod render;
mod rules;
mod secret;
mod store;
mod suggest;
mod twitch;
mod visit;

use std::path::PathBuf;

pub use advertise::Advertised;
pub use auth::Auth;
pub use diffusion::{Device, Diffusion, Half};
pub use environment::{Environment, Process, variable};
pub use error::{Errors, Origin, Problem};
pub use grant::{Day, Role, Scope, StaticToken};
pub use http::{Http, Tls};
pub use ice::{IceServer, Login};
pub use load::{load, parse};
pub use log::{Format, Log};
pub use media::Media;
pub use metrics::Metrics;
pub use models::Models;
pub use moments::Moments;
pub use network::{Network, NoNetwork};
pub use pipeline::{Backend, Pipeline};
pub use product::{NoProduct, Product};
pub use secret::{Secret, WeakSecret};
pub use store::Store;
pub use suggest::closest;
pub use twitch::Twitch;

use crate::kind::Folder;
use crate::visit::Visitor;

/// Every key with its meaning, unit, range and default, as a TOML file that loads to [`Config::default`].
pub const REFERENCE: &str = include_str!("../reference.toml");

/// Everything that can be set. The default serves this machine only, without credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything that must survive a restart is kept; relative to the working directory.
    pub data_dir: PathBuf,
    /// Signalling, API and pages.
    pub http: Http,
    /// The metrics listener.
    pub metrics: Metrics,
    /// The media sockets and the peers on them.
    pub media: Media,
    /// Who may do what.
    pub auth: Auth,
    /// How long and how often a stream is transformed.
    pub moments: Moments,
    /// Where moments are kept.
    pub store: Store,
    /// Twitch: who pays, what is told to chats, and who knows whom.
    pub twitch: Twitch,
    /// Decoding, transforming and encoding.
    pub pipeline: Pipeline,
    /// Where models are, and where missing ones come from.
    pub models: Models,
    /// What computes pictures, and with which parameters a channel begins.
    pub diffusion: Diffusion,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// This configuration as TOML, one line per key; a secret shows as `***`, which is too short to load again by mistake.
    #[must_use]
    pub fn render(&self) -> String {
        render::render(self)
    }

    /// Shows every key to the visitor, in the order of the file. This is the only list of keys.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("data_dir", &mut self.data_dir, Folder);
        self.http.visit(visitor);
        self.metrics.visit(visitor);
        self.media.visit(visitor);
        self.auth.visit(visitor);
        self.moments.visit(visitor);
        self.store.visit(visitor);
        self.twitch.visit(visitor);
        self.pipeline.visit(visitor);
        self.models.visit(visitor);
        self.diffusion.visit(visitor);
        self.log.visit(visitor);
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("reverie-data"),
            http: Http::default(),
            metrics: Metrics::default(),
            media: Media::default(),
            auth: Auth::default(),
            moments: Moments::default(),
            store: Store::default(),
            twitch: Twitch::default(),
            pipeline: Pipeline::default(),
            models: Models::default(),
            diffusion: Diffusion::default(),
            log: Log::default(),
        }
    }
}
