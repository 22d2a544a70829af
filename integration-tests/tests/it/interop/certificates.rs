//! DTLS certificates that the server does not take: refused in words, soon, and counted as such.

use anyhow::Result;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::TestServer;

const REFUSED: &str = r#"reverie_session_closes_total{protocol="whip",reason="certificate"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_p224_certificate_that_ffmpeg_makes_is_refused_as_a_certificate() -> Result<()> {
    let server = TestServer::start().await?;
    let mut client = Client::ffmpeg_publish(&server.url("/whip/show"), "own")?;
    server.metric_until(REFUSED, 1.0).await?;
    client.crash().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs GStreamer: make interop"]
async fn the_rsa_certificate_that_gstreamer_makes_is_refused_as_a_certificate() -> Result<()> {
    let server = TestServer::start().await?;
    let url = server.url("/whip/show");
    let mut client = Client::gstreamer("gst_publish.py", &["--url", &url, "--certificate", "own"])?;
    server.metric_until(REFUSED, 1.0).await?;
    client.crash().await?;
    server.stop().await;
    Ok(())
}
