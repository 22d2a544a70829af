//! The running server against real browsers and WebRTC clients.

mod auth;
mod conformance;
mod corpora;
mod hostile;
mod http;
mod https;
mod joining;
mod moment;
mod network;
mod pages;
mod restarting;
mod shards;
mod stages;
mod stopping;
mod tracks;
mod vanishing;
