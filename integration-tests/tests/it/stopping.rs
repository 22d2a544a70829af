//! SIGTERM: sessions are closed, clients hear of it, the exit code is 0.

use anyhow::{Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::Binary;

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_closes_its_sessions_and_exits_with_zero() -> Result<()> {
    let server = Binary::start().await?;
    let url = |path: &str| format!("http://{}{path}", server.http);
    let mut publisher = Client::aiortc_publish(&url("/whip/show"))?;
    let mut player = Client::aiortc_watch(&url("/whep/show"))?;
    player
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    let (from_publisher, from_player) = (publisher.seen.len(), player.seen.len());
    let code = server.terminate().await?;
    ensure!(code == Some(0), "the exit code is {code:?}");
    publisher
        .wait_from(from_publisher, "the end of the session", |l| {
            l["event"] == "connection" && l["state"] == "closed"
        })
        .await?;
    player
        .wait_from(from_player, "the end of the session", |l| {
            l["event"] == "connection" && l["state"] == "closed"
        })
        .await?;
    Ok(())
}
