//! Chromium with this server's own pages: with addresses in its candidates, and with mDNS names.

use anyhow::{Context as _, Result};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::server::TestServer;
use serde_json::json;

use super::{Party, Player, plays, publishes};

pub(super) const PAGE: &str = "page";
const BRIDGE: &str = "/bridge/show?source=canvas&autostart=1&size=640x360&fps=30";

/// A browser with one page.
pub(super) struct Browser {
    name: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
    /// JavaScript that ends the session as a user would.
    leave: &'static str,
    client: Option<Client>,
}

impl Browser {
    fn new(name: &'static str, path: &'static str, arguments: &'static [&'static str]) -> Self {
        let leave = if path == BRIDGE {
            "void document.querySelector('#stop').click()"
        } else {
            "void setTimeout(() => { location.href = 'about:blank'; })"
        };
        Self {
            name,
            path,
            arguments,
            leave,
            client: None,
        }
    }

    fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().context("it was started")
    }
}

impl Party for Browser {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn version(&mut self) -> Result<String> {
        version(self.client()?).await
    }

    async fn start(&mut self, server: &TestServer) -> Result<()> {
        let mut client = Client::chromium_with(self.arguments).await?;
        client.open(PAGE, &server.url(self.path)).await?;
        if self.path != BRIDGE {
            watch_frames(&mut client).await?;
        }
        self.client = Some(client);
        Ok(())
    }

    async fn crash(&mut self) -> Result<()> {
        self.client()?.kill().await
    }

    async fn leave(&mut self) -> Result<()> {
        let leave = json!({ "cmd": "eval", "page": PAGE, "code": self.leave });
        self.client()?.ask(leave).await?;
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        self.client()?.stop().await
    }

    async fn restart_ice(&mut self, server: &TestServer) -> Result<Option<u64>> {
        let client = self.client()?;
        let path = client
            .ask(json!({ "cmd": "eval", "page": PAGE, "code": "window.reverie.session" }))
            .await?;
        let session = server.url(path.as_str().context("a session")?);
        let done = client
            .ask(json!({ "cmd": "restart_ice", "page": PAGE, "session": session }))
            .await?;
        Ok(done["status"].as_u64())
    }
}

impl Player for Browser {
    async fn picture(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        of_page(self.client()?, what, wanted).await
    }

    fn pictures(&mut self) -> Vec<Frame> {
        all_of_page(self.client.as_mut())
    }

    async fn first_picture_ms(&mut self) -> Result<f64> {
        first_of_page(self.client()?).await
    }
}

pub(super) async fn version(client: &mut Client) -> Result<String> {
    let ready = client
        .wait_for("the browser to start", |l| l["event"] == "ready")
        .await?;
    Ok(ready["browser"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn watch_frames(client: &mut Client) -> Result<()> {
    let watch = json!({ "cmd": "watch_frames", "page": PAGE, "selector": "#video" });
    client.ask(watch).await?;
    Ok(())
}

/// The next picture of the page that `wanted` accepts.
pub(super) async fn of_page(
    client: &mut Client,
    what: &str,
    wanted: impl Fn(&Frame) -> bool,
) -> Result<Frame> {
    let first = |line: &serde_json::Value| {
        let batch = frames::of_page(std::slice::from_ref(line), PAGE);
        batch.into_iter().find(|f| wanted(f))
    };
    client.catch_up();
    let from = client.seen.len();
    let line = client
        .wait_from(from, what, |line| first(line).is_some())
        .await?;
    first(&line).context("a picture")
}

/// Milliseconds from the page's POST to the first picture that was looked at: looking begins with the load of
/// the page, so a picture that was there before makes the figure larger, never smaller.
pub(super) async fn first_of_page(client: &mut Client) -> Result<f64> {
    let code = "performance.timeOrigin + performance.getEntriesByType('resource').find(({ name }) => name.includes('/whep/')).startTime";
    let posted = client
        .ask(json!({ "cmd": "eval", "page": PAGE, "code": code }))
        .await?;
    let first = frames::of_page(&client.seen, PAGE);
    let first = first.iter().find(|f| f.n.is_some()).context("a picture")?;
    Ok(first.t * 1000.0 - posted.as_f64().context("a time")?)
}

pub(super) fn all_of_page(client: Option<&mut Client>) -> Vec<Frame> {
    client.map_or_else(Vec::new, |client| {
        client.catch_up();
        frames::of_page(&client.seen, PAGE)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_publishes() -> Result<()> {
    publishes(Browser::new("Chromium", BRIDGE, &[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays() -> Result<()> {
    plays(Browser::new("Chromium", "/watch/show", &[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_with_mdns_names_publishes() -> Result<()> {
    publishes(Browser::new("Chromium, mDNS", BRIDGE, &["--mdns"])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_with_mdns_names_plays() -> Result<()> {
    plays(Browser::new("Chromium, mDNS", "/watch/show", &["--mdns"])).await
}
