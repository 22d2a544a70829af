//! The libraries of npm in Chromium, on a page of another origin: every request goes through CORS.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames::Frame;
use reverie_integration_tests::server::TestServer;
use serde_json::json;

use super::browsers::{PAGE, all_of_page, first_of_page, of_page, version, watch_frames};
use super::{Party, Player, plays, publishes};

/// One library.
struct Library {
    /// Its package.
    package: &'static str,
    /// Its name on the page.
    library: &'static str,
    endpoint: &'static str,
    has_restart: bool,
    pages: Option<(Client, serde_json::Value)>,
    browser: Option<Client>,
}

impl Library {
    fn new(package: &'static str, library: &'static str, endpoint: &'static str) -> Self {
        Self {
            package,
            library,
            endpoint,
            has_restart: package == "@binbat/whip-whep",
            pages: None,
            browser: None,
        }
    }

    fn browser(&mut self) -> Result<&mut Client> {
        self.browser.as_mut().context("it was started")
    }
}

impl Party for Library {
    fn name(&self) -> String {
        self.package.to_owned()
    }

    async fn version(&mut self) -> Result<String> {
        let (_, ready) = self.pages.as_ref().context("they are served")?;
        let own = ready["versions"][self.package].as_str().unwrap_or_default();
        let text = format!("{own} in ");
        Ok(text + &version(self.browser()?).await?)
    }

    async fn start(&mut self, server: &TestServer) -> Result<()> {
        if self.pages.is_none() {
            self.pages = Some(Client::libraries().await?);
        }
        let (_, ready) = self.pages.as_ref().context("they are served")?;
        let origin = ready["url"].as_str().context("a URL")?;
        let endpoint = server.url(self.endpoint);
        let url = format!("{origin}?library={}&endpoint={endpoint}", self.library);
        let mut browser = Client::chromium().await?;
        browser.open(PAGE, &url).await?;
        browser
            .until(
                PAGE,
                "window.interop && window.interop.state !== 'starting'",
            )
            .await?;
        let state = json!({ "cmd": "eval", "page": PAGE, "code": "window.interop.state + ' ' + window.interop.error" });
        let state = browser.ask(state).await?;
        ensure!(state == "started null", "{}: {state}", self.package);
        if self.endpoint.starts_with("/whep") {
            watch_frames(&mut browser).await?;
        }
        self.browser = Some(browser);
        Ok(())
    }

    async fn crash(&mut self) -> Result<()> {
        self.browser()?.kill().await
    }

    async fn leave(&mut self) -> Result<()> {
        let stop = json!({ "cmd": "eval", "page": PAGE, "code": "window.interop.stop()" });
        self.browser()?.ask(stop).await?;
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        let browser = self.browser()?;
        let refused: Vec<_> = browser
            .seen
            .iter()
            .filter(|l| {
                l["event"] == "console" && l["text"].as_str().is_some_and(|t| t.contains("CORS"))
            })
            .collect();
        ensure!(refused.is_empty(), "refused by CORS: {refused:?}");
        browser.stop().await?;
        let (mut pages, _) = self.pages.context("they are served")?;
        pages.stop().await
    }

    async fn restart_ice(&mut self, _server: &TestServer) -> Result<Option<u64>> {
        if !self.has_restart {
            return Ok(None);
        }
        // `@binbat/whip-whep` joins the candidates of a restart with commas, which no browser reads; with one
        // candidate it would not show.
        let code = "window.interop.restart().then(() => 200, (e) => e.response?.status \
             ?? (String(e).includes('Invalid SDP line') ? 0 : String(e)))";
        let restart = json!({ "cmd": "eval", "page": PAGE, "code": code });
        let answer = self.browser()?.ask(restart).await?;
        Ok(Some(answer.as_u64().with_context(|| answer.to_string())?))
    }
}

impl Player for Library {
    async fn picture(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        of_page(self.browser()?, what, wanted).await
    }

    fn pictures(&mut self) -> Vec<Frame> {
        all_of_page(self.browser.as_mut())
    }

    async fn first_picture_ms(&mut self) -> Result<f64> {
        first_of_page(self.browser()?).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eyevinn_whip_web_client_publishes() -> Result<()> {
    let package = "@eyevinn/whip-web-client";
    publishes(Library::new(package, "eyevinn-whip", "/whip/show")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn eyevinn_webrtc_player_plays() -> Result<()> {
    let package = "@eyevinn/webrtc-player";
    plays(Library::new(package, "eyevinn-player", "/whep/show")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn binbat_whip_whep_publishes() -> Result<()> {
    let package = "@binbat/whip-whep";
    publishes(Library::new(package, "binbat-whip", "/whip/show")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn binbat_whip_whep_plays() -> Result<()> {
    let package = "@binbat/whip-whep";
    plays(Library::new(package, "binbat-whep", "/whep/show")).await
}
