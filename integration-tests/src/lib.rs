//! The outside view of Reverie: a server on port 0 and real clients as processes of their own.

#![forbid(unsafe_code)]

pub mod camera;
pub mod client;
pub mod frames;
pub mod fuzzing;
pub mod hostile;
pub mod http;
pub mod relay;
pub mod secure;
pub mod server;
pub mod socket;
pub mod stages;
pub mod twitch_sim;
