//! Programs: FFmpeg and aiortc.

use anyhow::{Context as _, Result};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::server::TestServer;

use super::{Party, Player, of_lines, plays, publishes};

/// How a program is started on a server.
pub(super) type Starter = fn(&TestServer) -> Result<Client>;

/// A process that prints lines.
pub(super) struct Program {
    name: &'static str,
    starter: Starter,
    client: Option<Client>,
}

impl Program {
    pub(super) fn new(name: &'static str, starter: Starter) -> Self {
        Self {
            name,
            starter,
            client: None,
        }
    }

    fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().context("it was started")
    }
}

impl Party for Program {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn version(&mut self) -> Result<String> {
        let line = self
            .client()?
            .wait_for("its version", |l| l["event"] == "version")
            .await?;
        Ok(line["version"].as_str().unwrap_or_default().to_owned())
    }

    async fn start(&mut self, server: &TestServer) -> Result<()> {
        self.client = Some((self.starter)(server)?);
        Ok(())
    }

    async fn crash(&mut self) -> Result<()> {
        self.client()?.crash().await
    }

    async fn leave(&mut self) -> Result<()> {
        self.client()?.stop().await
    }
}

impl Player for Program {
    async fn picture(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        of_lines(self.client()?, what, wanted).await
    }

    fn pictures(&mut self) -> Vec<Frame> {
        let Some(client) = &mut self.client else {
            return Vec::new();
        };
        client.catch_up();
        frames::of_player(&client.seen)
    }

    async fn first_picture_ms(&mut self) -> Result<f64> {
        let first = self
            .client()?
            .wait_for("a first picture", |l| l["event"] == "first_frame")
            .await?;
        first["ms"].as_f64().context("a time")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_a_p256_certificate_publishes() -> Result<()> {
    publishes(Program::new("FFmpeg whip muxer", |server| {
        Client::ffmpeg_publish(&server.url("/whip/show"), "p256")
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_publishes() -> Result<()> {
    publishes(Program::new("aiortc", |server| {
        Client::aiortc_publish(&server.url("/whip/show"))
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_plays() -> Result<()> {
    plays(Program::new("aiortc", |server| {
        Client::aiortc_watch(&server.url("/whep/show"))
    }))
    .await
}
