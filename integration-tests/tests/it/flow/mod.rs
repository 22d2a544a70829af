//! The whole way of a paid moment in real browsers: the server's own panel in a page like Twitch's, the bridge that sends the
//! picture, and the dock in which somebody decides.

mod cut;
mod decided;
mod heard;
mod looks;
mod paid;
mod resumed;
mod steered;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::{Config, Secret};
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::relay::Wire;
use reverie_integration_tests::server::{TestServer, config};
use reverie_integration_tests::twitch_sim::{STREAMER, Setup, TwitchSim};
use reverie_moments::life::Limits;
use reverie_moments::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SEALING: &str = "fedcba9876543210fedcba9876543210";
const CONTROL: &str = "control-of-the-whole-server";
/// Seconds that a moment is shown.
const SECONDS: u64 = 6;
const PRICE: u32 = 100;
/// The browser of the streamer, with the bridge and the dock.
const DESK: usize = 0;

/// A viewer of Twitch, whose page is called as they are; the panel in it is `NAME/panel`.
#[derive(Debug, Clone, Copy)]
struct Viewer {
    name: &'static str,
    /// At Twitch.
    id: &'static str,
    browser: usize,
}

/// Viewers in the streamer's browser.
const ANN: Viewer = Viewer {
    name: "ann",
    id: "7",
    browser: DESK,
};
const BOB: Viewer = Viewer {
    name: "bob",
    id: "8",
    browser: DESK,
};

impl Viewer {
    fn panel(self) -> String {
        format!("{}/panel", self.name)
    }
}

/// A channel that is on air, with people in front of it.
struct Show {
    sim: TwitchSim,
    server: TestServer,
    browsers: Vec<Client>,
    /// The streamer's session.
    streamer: String,
    /// A moderator's, as a dock of OBS has it.
    dock: String,
    /// The way of the streamer's pages to the server, where it is not the straight one.
    way: Option<Wire>,
    _folders: [TempDir; 2],
}

impl Show {
    /// On air, with a dock open, and as many browsers more as told.
    async fn start(browsers: usize, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::start_at(free()?, None, browsers, change).await
    }

    /// The same on a port, with a way of the streamer's pages to it.
    async fn start_at(
        port: SocketAddr,
        way: Option<Wire>,
        browsers: usize,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self> {
        let (data, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let sim = TwitchSim::start_with(Setup {
            panel: Some(files.path().to_owned()),
            panel_page: "extension/panel.html".to_owned(),
            products: vec![("dream".to_owned(), PRICE)],
            server: format!("http://{port}"),
            ..Setup::default()
        })
        .await?;
        let mut config = config();
        config.http.listen = port;
        config.data_dir = data.path().to_owned();
        config.pipeline.default = "debug-invert".to_owned();
        config.auth.session_key = Secret::new(KEY).ok();
        config.auth.sealing_key = Secret::new(SEALING).ok();
        config.auth.control_token = Secret::new(CONTROL).ok();
        config.auth.registration = true;
        config.http.allowed_origins = vec![sim.panel_url()];
        config.twitch = sim.config();
        config.twitch.products = vec![format!("dream:{PRICE}:{SECONDS}").parse()?];
        change(&mut config);
        let server = TestServer::start_with(config).await?;
        unpacked(&server.url("/extension.zip"), files.path()).await?;
        let mut show = Self {
            sim,
            server,
            browsers: Vec::new(),
            streamer: String::new(),
            dock: String::new(),
            way,
            _folders: [data, files],
        };
        show.own().await?;
        for _ in 0..=browsers {
            show.browsers.push(Client::chromium().await?);
        }
        show.on_air().await?;
        Ok(show)
    }

    /// The channel becomes the streamer's, is tied to theirs at Twitch, and its moments are reviewed.
    async fn own(&mut self) -> Result<()> {
        let account = json!({ "email": "streamer@example.org", "password": "a long password", "channel": "show" });
        let path = "/v1/auth/register";
        let made = self.ask(Method::POST, path, "", &account).await?;
        self.streamer = word(&made, "token")?;
        let file = self._folders[0].path().join("moments.sqlite");
        let store = Store::sqlite(&file, Limits::default()).await?;
        store.link_channel("twitch", STREAMER, "show").await?;
        let (path, policy) = ("/v1/channels/show/policy", json!({ "policy": "manual" }));
        let streamer = self.streamer.clone();
        let set = self.ask(Method::PUT, path, &streamer, &policy).await?;
        ensure!(set.status == 200, "{set:?}");
        let dock = json!({ "kind": "dock", "channel": "show" });
        let made = self
            .ask(Method::POST, "/v1/tokens", &streamer, &dock)
            .await?;
        self.dock = word(&made, "token")?;
        Ok(())
    }

    async fn on_air(&mut self) -> Result<()> {
        let bridge = format!(
            "/bridge/show?source=canvas&autostart=1&size=640x360&fps=15#token={}",
            self.streamer
        );
        self.open(DESK, "bridge", &bridge).await?;
        self.until_at(DESK, "bridge", "window.reverie.channel.live")
            .await?;
        let dock = format!("/mod/show?dock=1#token={}", self.dock);
        self.open(DESK, "dock", &dock).await?;
        let size = json!({ "cmd": "viewport", "page": "dock", "width": 320, "height": 700 });
        self.browsers[DESK].ask(size).await?;
        self.until_at(DESK, "dock", "window.reverie.channel.live")
            .await?;
        Ok(())
    }

    /// Opens a page of the server, and records what its scripts send and get.
    async fn open(&mut self, browser: usize, page: &str, path: &str) -> Result<()> {
        let url = match &self.way {
            Some(way) => format!("http://{}{path}", way.address),
            None => self.server.url(path),
        };
        let open = json!({ "cmd": "open", "page": page, "url": url, "traffic": true });
        let opened = self.browsers[browser].ask(open).await?;
        ensure!(opened["status"] == 200, "{path}: {opened}");
        Ok(())
    }

    /// Somebody opens the streamer's page at Twitch and sees the picture in the panel.
    async fn arrives(&mut self, viewer: Viewer) -> Result<()> {
        self.opens(viewer, "&shared=1").await?;
        self.until(
            viewer,
            "document.querySelector('#live').textContent === 'live'",
        )
        .await?;
        let panel = viewer.panel();
        let browser = &mut self.browsers[viewer.browser];
        let watch = json!({ "cmd": "watch_frames", "page": panel, "selector": "#video" });
        browser.ask(watch).await?;
        let listen = json!({ "cmd": "listen", "page": panel, "selector": "#purchase-words" });
        browser.ask(listen).await?;
        Ok(())
    }

    /// Somebody opens the page around the panel; `how` is more of its query.
    async fn opens(&mut self, viewer: Viewer, how: &str) -> Result<()> {
        let url = format!("{}/?user={}{how}", self.sim.url(), viewer.id);
        let at = self.sim.panel_url();
        let browser = &mut self.browsers[viewer.browser];
        let open = json!({ "cmd": "open", "page": viewer.name, "url": url, "traffic": true });
        browser.ask(open).await?;
        let frame =
            json!({ "cmd": "frame", "page": viewer.name, "at": at, "name": viewer.panel() });
        browser.ask(frame).await?;
        Ok(())
    }

    async fn until_at(&mut self, browser: usize, page: &str, code: &str) -> Result<Value> {
        self.browsers[browser].until(page, code).await
    }

    /// Waits until something is true in somebody's panel.
    async fn until(&mut self, viewer: Viewer, code: &str) -> Result<Value> {
        self.until_at(viewer.browser, &viewer.panel(), code).await
    }

    /// Waits until a viewer reads that their own moment is so; `words` is a regular expression.
    async fn reads(&mut self, viewer: Viewer, words: &str) -> Result<()> {
        let code = format!(
            "(() => {{ const line = document.querySelector('#purchase-words'); \
             return line.checkVisibility() && /^Yours: {words}$/.test(line.textContent); }})()"
        );
        self.until(viewer, &code).await?;
        Ok(())
    }

    /// What a viewer reads in a line of the panel.
    async fn line(&mut self, viewer: Viewer, selector: &str) -> Result<String> {
        let code = format!("document.querySelector({}).innerText", json!(selector));
        let eval = json!({ "cmd": "eval", "page": viewer.panel(), "code": code });
        let text = self.browsers[viewer.browser].ask(eval).await?;
        Ok(text.as_str().context("a text")?.to_owned())
    }

    async fn click(&mut self, browser: usize, page: &str, selector: &str) -> Result<()> {
        let click = json!({ "cmd": "click", "page": page, "selector": selector });
        self.browsers[browser].ask(click).await?;
        Ok(())
    }

    /// A viewer writes a prompt and presses the button that pays with this.
    async fn asks(&mut self, viewer: Viewer, prompt: &str, unit: &str) -> Result<()> {
        let (panel, browser) = (viewer.panel(), viewer.browser);
        let button = format!("#products button[data-unit={unit}]");
        let fill = json!({ "cmd": "type", "page": panel, "selector": "#prompt", "text": prompt });
        self.browsers[browser].ask(fill).await?;
        let ready = format!("document.querySelector('{button}')?.disabled === false");
        self.until(viewer, &ready).await?;
        self.click(browser, &panel, &button).await
    }

    /// A viewer asks for a moment and says yes to the Bits that it costs.
    async fn pays(&mut self, viewer: Viewer, prompt: &str) -> Result<()> {
        self.asks(viewer, prompt, "bits").await?;
        let (name, browser) = (viewer.name, viewer.browser);
        let asked = "document.querySelector('#ask').open";
        self.until_at(browser, name, asked).await?;
        self.click(browser, name, "#yes").await?;
        self.reads(viewer, "In review").await
    }

    /// The one moment in review is decided about with this button, and the time to take it back passes.
    async fn decides(&mut self, prompt: &str, button: &str) -> Result<f64> {
        let there = format!(
            "document.querySelector('#review')?.checkVisibility() && \
             document.querySelector('#review').innerText.includes({})",
            json!(prompt)
        );
        self.until_at(DESK, "dock", &there).await?;
        self.press(button).await?;
        Ok(now())
    }

    /// Presses a button of the dock by what is written on it.
    async fn press(&mut self, button: &str) -> Result<()> {
        let code = format!(
            "(() => {{ const found = [...document.querySelectorAll('button')] \
             .find((one) => one.checkVisibility() && one.textContent === {}); \
             found?.setAttribute('data-test', 'press'); return found !== undefined; }})()",
            json!(button)
        );
        self.until_at(DESK, "dock", &code).await?;
        self.click(DESK, "dock", "[data-test=press]").await?;
        let code = "document.querySelector('[data-test=press]')?.removeAttribute('data-test')";
        let eval = json!({ "cmd": "eval", "page": "dock", "code": code });
        self.browsers[DESK].ask(eval).await?;
        Ok(())
    }

    /// Waits for a picture of now that is inverted or is not, and says when it was presented.
    async fn sees(&mut self, viewer: Viewer, inverted: bool) -> Result<f64> {
        let browser = &mut self.browsers[viewer.browser];
        browser.catch_up();
        let since = now();
        let from = browser.seen.len();
        let is_so =
            |frame: &Frame| frame.t >= since && frame.n.is_some() && frame.inverted == inverted;
        let what = if inverted { "the moment" } else { "the camera" };
        let line = browser
            .wait_from(from, what, |line| {
                let frames = frames::of_page(std::slice::from_ref(line), viewer.name);
                frames.iter().any(is_so)
            })
            .await?;
        let frames = frames::of_page(&[line], viewer.name);
        let found = frames.into_iter().find(is_so);
        Ok(found.context("the picture that was waited for")?.t)
    }

    /// Everything that was presented to a viewer.
    fn frames(&mut self, viewer: Viewer) -> Vec<Frame> {
        let browser = &mut self.browsers[viewer.browser];
        browser.catch_up();
        frames::of_page(&browser.seen, viewer.name)
    }

    /// A viewer's balance, as a moderator may see it.
    async fn credits(&self, viewer: Viewer) -> Result<Value> {
        let path = format!("/v1/me/credits?channel=show&viewer={}", viewer.id);
        let answer = self
            .ask(Method::GET, &path, &self.dock, &Value::Null)
            .await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()["credits"].clone())
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Result<Answer> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(method, &self.server.url(path), &headers, body).await
    }

    /// Everything that the scripts of this origin sent and got in a page, as one text.
    fn traffic(&mut self, browser: usize, page: &str, origin: &str) -> String {
        let browser = &mut self.browsers[browser];
        browser.catch_up();
        let lines = browser.seen.iter().filter(|line| {
            line["event"] == "traffic" && line["page"] == page && line["origin"] == origin
        });
        // As one text, since what is streamed comes in pieces.
        let text = |line: &Value| match line["way"].as_str() {
            Some("got") => line["text"].as_str().unwrap_or_default().to_owned(),
            _ => format!("\n{line}\n"),
        };
        lines.map(text).collect()
    }

    /// Ends everything, and says what the pages did that they may not.
    async fn stop(self) -> Result<()> {
        for mut browser in self.browsers {
            browser.stop().await?;
            browser.has_no_violations()?;
        }
        self.server.stop().await;
        Ok(())
    }
}

/// An address on which a server may listen.
fn free() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Unpacks the extension as whoever uploads it to Twitch would, with a library that is not ours.
async fn unpacked(url: &str, to: &Path) -> Result<()> {
    let code = "import io, sys, urllib.request, zipfile; \
                zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(sys.argv[1]).read())).extractall(sys.argv[2])";
    let ended = tokio::process::Command::new(root().join(".venv/bin/python"))
        .args(["-c", code, url])
        .arg(to)
        .stdout(Stdio::null())
        .status()
        .await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

fn word(answer: &Answer, field: &str) -> Result<String> {
    let json = answer.json();
    let word = json[field].as_str().map(str::to_owned);
    word.with_context(|| format!("{field} in {answer:?}"))
}

/// Seconds since 1970, as the browsers of this machine count them.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
