//! Reverie: a WHIP/WHEP media server with a live stage between camera and viewers.
//!
//! [`Server::start`] binds and runs everything; the way of a picture is described in ARCHITECTURE.md.

#![forbid(unsafe_code)]

mod analytics;
mod auth;
mod channel;
pub mod cli;
pub mod engine;
mod http;
mod identity;
pub mod metrics;
mod models;
mod node;
mod server;
mod session;
pub mod shard;
pub mod stages;
mod telemetry;
mod tls;
mod twitch;

pub use http::routes::{ROUTES, Route, Rule};
pub use server::{Running, Server, StartError};
