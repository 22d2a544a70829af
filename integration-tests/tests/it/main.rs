//! The running server against real browsers and WebRTC clients.

mod admin;
mod auth;
#[cfg(feature = "torch")]
mod broken;
mod conformance;
mod corpora;
#[cfg(feature = "torch")]
mod diffusion;
mod durable;
mod flow;
mod hostile;
mod http;
mod https;
mod identity;
mod interop;
mod joining;
mod layers;
mod lips;
mod moment;
mod network;
mod pages;
mod params;
mod publishers;
mod queue;
mod restarting;
mod secrets;
mod shards;
mod stages;
mod stopping;
mod tracks;
mod twitch;
mod vanishing;
