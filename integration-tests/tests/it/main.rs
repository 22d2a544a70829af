//! The running server against real browsers and WebRTC clients.

mod admin;
mod auth;
#[cfg(feature = "torch")]
mod broken;
mod conformance;
mod corpora;
#[cfg(feature = "torch")]
mod diffusion;
mod dock;
mod durable;
mod flow;
mod hostile;
mod http;
mod https;
mod identity;
mod interop;
mod joining;
mod kills;
mod layers;
mod lips;
mod moment;
mod network;
mod openapi;
mod pages;
mod params;
mod publishers;
mod queue;
mod restarting;
mod secrets;
mod shards;
mod sockets;
mod stages;
mod stopping;
mod tracks;
mod twitch;
mod vanishing;
