//! The running server against real browsers and WebRTC clients.

mod conformance;
mod auth;
mod http;
mod https;
mod joining;
mod moment;
mod pages;
mod shards;
mod stages;
mod stopping;
mod tracks;
mod vanishing;
