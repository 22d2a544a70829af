//! GStreamer: `webrtcbin` itself, and the elements `whipsink` and `whepsrc`. Each is given a P-256
//! certificate; see `certificates.rs` for the one it makes.

use anyhow::Result;
use reverie_integration_tests::client::Client;

use super::programs::Program;
use super::{plays, publishes};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs GStreamer: make interop"]
async fn gstreamer_webrtcbin_publishes() -> Result<()> {
    publishes(Program::new("GStreamer webrtcbin", |server| {
        let url = server.url("/whip/show");
        Client::gstreamer("gst_publish.py", &["--url", &url, "--with", "webrtcbin"])
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs GStreamer and its Rust plug-in: make interop"]
async fn gstreamer_whipsink_publishes() -> Result<()> {
    publishes(Program::new("GStreamer whipsink", |server| {
        let url = server.url("/whip/show");
        Client::gstreamer("gst_publish.py", &["--url", &url, "--with", "whipsink"])
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs GStreamer and its Rust plug-in: make interop"]
async fn gstreamer_whepsrc_plays() -> Result<()> {
    plays(Program::new("GStreamer whepsrc", |server| {
        Client::gstreamer("gst_watch.py", &["--url", &server.url("/whep/show")])
    }))
    .await
}
