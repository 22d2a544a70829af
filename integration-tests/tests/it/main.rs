//! The running server against real browsers and WebRTC clients.

mod conformance;
mod http;
mod joining;
mod lips;
mod moment;
mod pages;
mod publishers;
mod shards;
mod stages;
mod stopping;
mod tracks;
mod vanishing;
