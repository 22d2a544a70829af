//! Outside clients: processes that print one JSON object per line, and what they printed.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long anything may take before the test says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running client. Dropping it kills the process.
#[derive(Debug)]
pub struct Client {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Value>,
    /// Everything it printed so far, in order.
    pub seen: Vec<Value>,
    next_command: u64,
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Client {
    /// Starts the aiortc player on a WHEP URL; it waits for a publisher.
    ///
    /// # Errors
    ///
    /// If the process does not start (run `scripts/setup test`).
    pub fn aiortc_watch(url: &str) -> Result<Self> {
        Self::python("aiortc_watch.py", &["--url", url, "--wait"])
    }

    /// Starts the aiortc publisher of the bar code picture with a tone on a WHIP URL.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_publish(url: &str) -> Result<Self> {
        Self::python(
            "aiortc_publish.py",
            &["--url", url, "--size", "640x360", "--fps", "30"],
        )
    }

    /// Starts the aiortc publisher with options of its command line.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_publish_with(url: &str, options: &[&str]) -> Result<Self> {
        Self::python("aiortc_publish.py", &[&["--url", url], options].concat())
    }

    /// Starts the aiortc publisher with a bearer token.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_publish_as(url: &str, token: &str) -> Result<Self> {
        let options = ["--url", url, "--token", token, "--size", "640x360"];
        Self::python("aiortc_publish.py", &options)
    }

    /// Like [`Self::aiortc_publish`], with an offer that names no address.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_publish_hidden(url: &str) -> Result<Self> {
        let arguments = ["--url", url, "--size", "640x360", "--fps", "30", "--hide"];
        Self::python("aiortc_publish.py", &arguments)
    }

    /// Like [`Self::aiortc_watch`], with an offer that names no address.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_watch_hidden(url: &str) -> Result<Self> {
        Self::python("aiortc_watch.py", &["--url", url, "--wait", "--hide"])
    }

    /// Starts FFmpeg's whip muxer on a WHIP URL, with a P-256 certificate or (`own`) the one it makes.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn ffmpeg_publish(url: &str, certificate: &str) -> Result<Self> {
        Self::ffmpeg_publish_with(url, &["--certificate", certificate])
    }

    /// Starts FFmpeg's whip muxer on a WHIP URL with options of the client's command line.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn ffmpeg_publish_with(url: &str, options: &[&str]) -> Result<Self> {
        Self::python("ffmpeg_publish.py", &[&["--url", url], options].concat())
    }

    /// Starts one of the GStreamer clients, which run on the system's Python.
    ///
    /// # Errors
    ///
    /// If the process does not start (run `scripts/setup interop`).
    pub fn gstreamer(script: &str, arguments: &[&str]) -> Result<Self> {
        let root = root();
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(root.join("integration-tests/clients").join(script))
            .args(arguments)
            .env("GST_PLUGIN_PATH", root.join(".tools/gst/release"));
        Self::start(script, command)
    }

    /// A headless Chromium whose offers hide its addresses behind names of multicast DNS.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn chromium_hidden() -> Result<Self> {
        Self::chromium_with(&["--mdns"]).await
    }

    /// Starts the aiortc publisher with `audio` or `video` alone.
    ///
    /// # Errors
    ///
    /// See [`Self::aiortc_watch`].
    pub fn aiortc_publish_only(url: &str, kind: &str) -> Result<Self> {
        Self::python("aiortc_publish.py", &["--url", url, "--only", kind])
    }

    /// Starts the origin that serves the libraries of npm; returns its URL too.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn libraries() -> Result<(Self, Value)> {
        let mut command = Command::new("node");
        command.arg(root().join("integration-tests/clients/libraries.mjs"));
        let mut client = Self::start("libraries", command)?;
        let ready = client
            .wait_for("the libraries to be served", |l| l["event"] == "ready")
            .await?;
        Ok((client, ready))
    }

    /// Starts the origin that serves the extension which a server packs, as Twitch does; returns its URL too.
    ///
    /// # Errors
    ///
    /// If it does not start, or the server packs none.
    pub async fn extension(server: &str) -> Result<(Self, Value)> {
        let mut command = Command::new("node");
        command
            .arg(root().join("integration-tests/clients/extension.mjs"))
            .args(["--server", server]);
        let mut client = Self::start("extension", command)?;
        let ready = client
            .wait_for("the extension to be served", |l| l["event"] == "ready")
            .await?;
        Ok((client, ready))
    }

    /// Starts a headless Chromium without pages.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn chromium() -> Result<Self> {
        Self::chromium_with(&[]).await
    }

    /// Starts a headless Chromium with options of `browser.mjs`.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn chromium_with(options: &[&str]) -> Result<Self> {
        let script = root().join("integration-tests/clients/browser.mjs");
        let mut command = Command::new("node");
        command.arg(script).args(options);
        let mut browser = Self::start("chromium", command)?;
        browser
            .wait_for("the browser to start", |line| line["event"] == "ready")
            .await?;
        Ok(browser)
    }

    fn python(script: &str, arguments: &[&str]) -> Result<Self> {
        let root = root();
        let mut command = Command::new(root.join(".venv/bin/python"));
        command
            .arg(root.join("integration-tests/clients").join(script))
            .args(arguments);
        Self::start(script, command)
    }

    fn start(name: &str, mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("{name} does not start; run scripts/setup test"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = mpsc::unbounded_channel();
        let mut reader = BufReader::new(stdout).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = reader.next_line().await {
                let parsed = serde_json::from_str(&line)
                    .unwrap_or_else(|_| json!({ "event": "text", "text": line }));
                if sender.send(parsed).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            lines,
            seen: Vec::new(),
            next_command: 1,
        })
    }

    /// The first line from now on, or already seen, that `wanted` accepts.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`], or if the client ended.
    pub async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.wait_from(0, what, wanted).await
    }

    /// Like [`Self::wait_for`], but only lines at index `from` of [`Self::seen`] and later count.
    ///
    /// # Errors
    ///
    /// See [`Self::wait_for`].
    pub async fn wait_from(
        &mut self,
        from: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut at = from;
        loop {
            while at < self.seen.len() {
                if wanted(&self.seen[at]) {
                    return Ok(self.seen[at].clone());
                }
                at += 1;
            }
            match timeout_at(deadline, self.lines.recv()).await {
                Ok(Some(line)) => self.seen.push(line),
                Ok(None) => bail!(
                    "{} ended while the test waited for {what}; last: {:?}",
                    self.name,
                    self.tail()
                ),
                Err(_) => bail!(
                    "{} did not show {what} in {PATIENCE:?}; last: {:?}",
                    self.name,
                    self.tail()
                ),
            }
        }
    }

    /// Takes everything that was printed until now.
    pub fn catch_up(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(line);
        }
    }

    /// Gives the browser a command and waits for its reply's value.
    ///
    /// # Errors
    ///
    /// If the browser says that it failed.
    pub async fn ask(&mut self, mut command: Value) -> Result<Value> {
        let id = self.next_command;
        self.next_command += 1;
        command["id"] = json!(id);
        self.write(&command.to_string()).await?;
        let from = self.seen.len();
        let reply = self
            .wait_from(from, &format!("a reply to {command}"), |l| {
                l["event"] == "reply" && l["id"] == id
            })
            .await?;
        ensure!(reply["ok"] == true, "{command} failed: {}", reply["error"]);
        Ok(reply["value"].clone())
    }

    /// Opens a page in a window of its own.
    ///
    /// # Errors
    ///
    /// If it does not load.
    pub async fn open(&mut self, page: &str, url: &str) -> Result<()> {
        let opened = self
            .ask(json!({ "cmd": "open", "page": page, "url": url }))
            .await?;
        ensure!(opened["status"] == 200, "{url}: {opened}");
        Ok(())
    }

    /// Waits until an expression is true in a page.
    ///
    /// # Errors
    ///
    /// If it does not become true.
    pub async fn until(&mut self, page: &str, code: &str) -> Result<Value> {
        self.ask(json!({ "cmd": "wait", "page": page, "code": code, "timeout_ms": 20_000 }))
            .await
    }

    /// The `inbound-rtp` statistics of a page's video.
    ///
    /// # Errors
    ///
    /// If there is no connection.
    pub async fn stats(&mut self, page: &str) -> Result<Value> {
        self.ask(json!({ "cmd": "stats", "page": page })).await
    }

    /// Kills the browser's whole process tree with SIGKILL.
    ///
    /// # Errors
    ///
    /// If the driver is gone already.
    pub async fn kill(&mut self) -> Result<()> {
        self.write(r#"{"cmd":"kill"}"#).await?;
        self.wait_for("the browser to be killed", |l| l["event"] == "killed")
            .await?;
        Ok(())
    }

    /// Kills a client that is no browser with SIGKILL, as a crash would end it.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub async fn crash(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// What the pages of a browser did so far broke no content policy and threw nothing.
    ///
    /// # Errors
    ///
    /// All that did.
    pub fn has_no_violations(&self) -> Result<()> {
        let is_bad = |l: &&Value| l["event"] == "csp" || l["event"] == "page_error";
        let bad: Vec<_> = self.seen.iter().filter(is_bad).collect();
        ensure!(bad.is_empty(), "{bad:?}");
        Ok(())
    }

    /// Asks the client to end and waits for it.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        // A client that has ended by itself is stopped already.
        let _ = self.write("stop").await;
        self.stdin = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match timeout_at(deadline, self.lines.recv()).await {
                Ok(Some(line)) => self.seen.push(line),
                Ok(None) => break,
                Err(_) => bail!("{} did not stop in {PATIENCE:?}", self.name),
            }
        }
        self.child.wait().await?;
        Ok(())
    }

    async fn write(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the client was stopped")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    fn tail(&self) -> &[Value] {
        &self.seen[self.seen.len().saturating_sub(4)..]
    }
}
