//! Viewers on different media threads see the same moment.

use std::num::NonZeroUsize;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames;
use reverie_integration_tests::server::{TestServer, config};

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_every_shard_see_the_same_moment() -> Result<()> {
    let mut config = config();
    config.media.shards = NonZeroUsize::new(2).context("two")?;
    let server = TestServer::start_with(config).await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut players = [
        Client::aiortc_watch(&server.url("/whep/show"))?,
        Client::aiortc_watch(&server.url("/whep/show"))?,
    ];
    for player in &mut players {
        player
            .wait_for("a first frame", |l| l["event"] == "first_frame")
            .await?;
    }
    let id = server.moment("show", "debug-invert", 2.0).await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    server
        .channel_until("show", "back on the camera", |c| {
            c["pipeline"]["state"] == "warm"
        })
        .await?;
    for player in &mut players {
        player.catch_up();
        let from = player.seen.len();
        player
            .wait_from(from, "the camera's picture", |l| {
                l["event"] == "frame" && l["inverted"] == false
            })
            .await?;
        let seen = frames::of_player(&player.seen);
        let faults = frames::faults(&seen);
        ensure!(faults.is_empty(), "{faults:?}");
        let moments = frames::moments(&seen);
        ensure!(moments.len() == 1 && moments[0].2 > 30, "{moments:?}");
        player.stop().await?;
    }
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}
