//! The product's own server in this process, on free ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reverie_config::Config;
use reverie_sfu::{Running, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt as _;
use tokio::time::Instant;

use crate::client::PATIENCE;
use crate::http::{self, Answer};
use crate::stages;

/// A server with every stage of [`stages::with_faults`].
#[derive(Debug)]
pub struct TestServer {
    running: Running,
    /// Gone with the server.
    _data: Option<TempDir>,
}

/// A configuration on free ports of the loopback.
///
/// # Panics
///
/// Never: the addresses are constants.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::default();
    let free = "127.0.0.1:0".parse().expect("a constant address");
    config.http.listen = free;
    config.metrics.listen = free;
    config.media.listen = "0.0.0.0:0".parse().expect("a constant address");
    config
}

impl TestServer {
    /// Starts on free ports with the defaults.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(config()).await
    }

    /// Starts with a configuration; with a data directory of its own where that names none.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start_with(mut config: Config) -> Result<Self> {
        let own = config.data_dir == Config::default().data_dir;
        let data = own.then(tempfile::tempdir).transpose()?;
        if let Some(data) = &data {
            config.data_dir = data.path().to_owned();
        }
        Ok(Self {
            running: Server::start_with(config, stages::with_faults()).await?,
            _data: data,
        })
    }

    /// The address of its HTTP.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.running.http
    }

    /// Where the first media thread listens.
    ///
    /// # Panics
    ///
    /// Never: there is at least one.
    #[must_use]
    pub fn media(&self) -> std::net::SocketAddr {
        self.running.media[0]
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.http)
    }

    /// Everything on `/metrics`.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(
            http::get(&format!("http://{}/metrics", self.running.metrics))
                .await?
                .body,
        )
    }

    /// The sum of all series of a metric.
    ///
    /// # Errors
    ///
    /// See [`Self::metrics`].
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let series = text.lines().filter(|l| {
            l.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        Ok(series
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// The sum of the series that begin so.
    ///
    /// # Errors
    ///
    /// See [`Self::metrics`].
    pub async fn series(&self, begin: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let series = text.lines().filter(|l| l.starts_with(begin));
        Ok(series
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Waits until the sum of the series that begin so is as wanted.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn series_until(
        &self,
        begin: &str,
        what: &str,
        wanted: impl Fn(f64) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sum = self.series(begin).await?;
            if wanted(sum) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{begin} was {sum} and not {what} after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the series that begin so sum up to a value.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn metric_until(&self, begin: &str, wanted: f64) -> Result<()> {
        self.series_until(begin, &wanted.to_string(), |sum| {
            (sum - wanted).abs() < f64::EPSILON
        })
        .await
    }

    /// A channel as the API shows it.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn channel(&self, name: &str) -> Result<Answer> {
        http::get(&self.url(&format!("/v1/channels/{name}"))).await
    }

    /// Waits until the channel looks as wanted.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn channel_until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.channel(name).await?;
            if answer.status.is_success() && wanted(&answer.json()) {
                return Ok(answer.json());
            }
            if Instant::now() > deadline {
                bail!(
                    "channel {name} was not {what} in {PATIENCE:?}: {}",
                    answer.body
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for a moment; returns its id.
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub async fn moment(&self, channel: &str, pipeline: &str, seconds: f64) -> Result<String> {
        let body = json!({ "prompt": "a test", "duration_s": seconds, "pipeline": pipeline });
        let answer =
            http::post(&self.url(&format!("/v1/channels/{channel}/moments")), &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.json()["id"]
            .as_str()
            .context("a moment has an id")?
            .to_owned())
    }

    /// Waits until a moment has ended and returns it.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn ended(&self, id: &str) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let moment = http::get(&self.url(&format!("/v1/moments/{id}")))
                .await?
                .json();
            if !moment["ended_at"].is_null() {
                return Ok(moment);
            }
            if Instant::now() > deadline {
                bail!("the moment did not end in {PATIENCE:?}: {moment}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads again what SIGHUP has a server read again.
    pub async fn reload(&self) {
        self.running.reload().await;
    }

    /// Stops it and waits for the end.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// The lines that a process writes to its log.
pub type Log = tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStderr>>;

/// The product's own binary, as a process.
#[derive(Debug)]
pub struct Binary {
    child: tokio::process::Child,
    /// Its HTTP address.
    pub http: String,
    /// Its metrics address.
    pub metrics: String,
    /// UDP port of its first shard.
    pub media_port: u16,
    /// Gone with the process, unless it was given another one.
    _data: TempDir,
}

/// What a process holds and has used.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Resident memory.
    pub resident_kib: u64,
    /// Processor time since it began, user and system, in steps of 10 ms.
    pub cpu: Duration,
    /// Open files.
    pub files: usize,
}

/// The product's own binary, built beside this test.
///
/// # Errors
///
/// If it was not built.
pub fn binary() -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let binary = tests
        .ancestors()
        .nth(2)
        .context("a target folder")?
        .join("reverie");
    ensure!(
        binary.exists(),
        "{} is missing; run cargo build --workspace",
        binary.display()
    );
    Ok(binary)
}

impl Binary {
    /// Starts the binary that was built beside this test, on free ports.
    ///
    /// # Errors
    ///
    /// If it was not built or does not say that it is ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts it with more variables.
    ///
    /// # Errors
    ///
    /// See [`Self::start`].
    pub async fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        Self::launch(variables, std::process::Stdio::inherit()).await
    }

    /// Like [`Self::start_with`]; gives its log, too.
    ///
    /// # Errors
    ///
    /// See [`Self::start`].
    pub async fn start_logged(variables: &[(&str, &str)]) -> Result<(Self, Log)> {
        let mut server = Self::launch(variables, std::process::Stdio::piped()).await?;
        let log = server.child.stderr.take().context("stderr is piped")?;
        Ok((server, tokio::io::BufReader::new(log).lines()))
    }

    async fn launch(variables: &[(&str, &str)], log: std::process::Stdio) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut child = tokio::process::Command::new(binary()?)
            .env("REVERIE__DATA_DIR", data.path())
            .args(["serve", "--print-ready"])
            .envs([
                ("REVERIE__HTTP__LISTEN", "127.0.0.1:0"),
                ("REVERIE__METRICS__LISTEN", "127.0.0.1:0"),
                ("REVERIE__MEDIA__LISTEN", "0.0.0.0:0"),
            ])
            .envs(variables.iter().copied())
            .stdout(std::process::Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut lines = tokio::io::BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await??
            .context("a ready line")?;
        let ready: Value = serde_json::from_str(&line)?;
        let http = ready["http"].as_str().context("an address")?.to_owned();
        let metrics = ready["metrics"].as_str().context("an address")?.to_owned();
        let media = ready["media"][0].as_str().context("an address")?;
        let media: SocketAddr = media.parse()?;
        Ok(Self {
            child,
            http,
            metrics,
            media_port: media.port(),
            _data: data,
        })
    }

    /// The sum of all series that begin so.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn metric(&self, begin: &str) -> Result<f64> {
        let url = format!("http://{}/metrics", self.metrics);
        let text = http::get(&url).await?.body;
        let series = text.lines().filter(|line| line.starts_with(begin));
        Ok(series
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// What the process costs now.
    ///
    /// # Errors
    ///
    /// If it ended.
    pub fn cost(&self) -> Result<Cost> {
        let pid = self.child.id().context("it runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .context("its resident memory")?;
        // The name of a process may hold anything, so fields are counted from behind it.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Cost {
            resident_kib: resident,
            cpu: Duration::from_millis(ticks * 10),
            files,
        })
    }

    /// Waits until a line of `/metrics` begins so.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn metric_line(&self, begin: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = http::get(&format!("http://{}/metrics", self.metrics))
                .await?
                .body;
            if let Some(line) = text.lines().find(|l| l.starts_with(begin)) {
                return Ok(line.to_owned());
            }
            ensure!(Instant::now() < deadline, "there is no {begin}: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal such as `HUP`.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().context("it runs")?.to_string();
        let sent = tokio::process::Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .await?;
        ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }

    /// Kills it, as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM and waits for the exit code.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn terminate(mut self) -> Result<Option<i32>> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("it did not end")??;
        Ok(status.code())
    }
}
