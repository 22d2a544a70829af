//! DTLS certificates that only a server with the feature `openssl` takes; others refuse them in words, soon, and
//! count them as such.

use anyhow::Result;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::TestServer;

/// FFmpeg's is on the curve P-224.
fn ffmpeg(server: &TestServer) -> Result<Client> {
    Client::ffmpeg_publish(&server.url("/whip/show"), "own")
}

/// GStreamer's is of RSA.
fn gstreamer(server: &TestServer) -> Result<Client> {
    let url = server.url("/whip/show");
    Client::gstreamer("gst_publish.py", &["--url", &url, "--certificate", "own"])
}

#[cfg(not(feature = "openssl"))]
mod refused {
    use super::*;

    const REFUSED: &str = r#"reverie_session_closes_total{protocol="whip",reason="certificate"}"#;

    async fn refused(client: fn(&TestServer) -> Result<Client>) -> Result<()> {
        let server = TestServer::start().await?;
        let mut client = client(&server)?;
        server.metric_until(REFUSED, 1.0).await?;
        client.crash().await?;
        server.stop().await;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_p224_certificate_that_ffmpeg_makes_is_refused_as_a_certificate() -> Result<()> {
        refused(ffmpeg).await
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs GStreamer: make interop"]
    async fn the_rsa_certificate_that_gstreamer_makes_is_refused_as_a_certificate() -> Result<()> {
        refused(gstreamer).await
    }
}

#[cfg(feature = "openssl")]
mod taken {
    use anyhow::ensure;
    use reverie_integration_tests::frames;

    use super::*;

    /// A viewer sees the picture of a publisher with such a certificate, and a moment of it.
    async fn taken(client: fn(&TestServer) -> Result<Client>) -> Result<()> {
        let server = TestServer::start().await?;
        let mut publisher = client(&server)?;
        let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
        player
            .wait_for("a picture", |l| l["event"] == "frame" && !l["n"].is_null())
            .await?;
        let id = server.moment("show", "debug-invert", 2.0).await?;
        let moment = server.ended(&id).await?;
        ensure!(moment["state"] == "completed", "{moment}");
        player.stop().await?;
        let runs = frames::moments(&frames::of_player(&player.seen));
        ensure!(runs.len() == 1, "{runs:?}");
        publisher.stop().await?;
        server.stop().await;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ffmpeg_publishes_with_the_p224_certificate_that_it_makes() -> Result<()> {
        taken(ffmpeg).await
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs GStreamer: make interop"]
    async fn gstreamer_publishes_with_the_rsa_certificate_that_it_makes() -> Result<()> {
        taken(gstreamer).await
    }
}
