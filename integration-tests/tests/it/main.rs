//! The running server against real browsers and WebRTC clients.

mod auth;
mod conformance;
mod http;
mod https;
mod interop;
mod joining;
mod moment;
mod pages;
mod shards;
mod stages;
mod stopping;
mod tracks;
mod vanishing;
