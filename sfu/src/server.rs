//! The server as a value: bind everything, start everything, stop everything.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use reverie_config::Config;
use reverie_diffusion::params::Params;
use reverie_moments::store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle as Task;

use crate::analytics::Analytics;
use crate::auth::Revoked;
use crate::channel::{Channels, Shard, Shared};
use crate::engine::negotiate::{Certificate, Terms};
use crate::engine::{CloseReason, Command, Limits};
use crate::http::{self, App};
use crate::identity::{self, Identity};
use crate::metrics::Metrics;
use crate::node::{self, Node};
use crate::session::Sessions;
use crate::shard::Bound;
use crate::stages::Stages;
use crate::tls::{Expiry, Https};
use crate::twitch::Twitch;

/// Events of the shards that wait for their channels.
const EVENTS: usize = 4096;

/// How long a media thread may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Pause before a full queue is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Why the server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot bind `{key}` = {address}: {error}")]
    Bind {
        /// Key of the configuration.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The configured stage does not exist.
    #[error(
        "`pipeline.default` = {name:?} is not a pipeline of this build; available are: {known}"
    )]
    UnknownPipeline {
        /// Its value.
        name: String,
        /// What there is.
        known: String,
    },
    /// Certificate and key for HTTPS cannot be used; names key, file and what is wrong.
    #[error("{0}")]
    Tls(String),
    /// The file of parameters cannot be used.
    #[error("`diffusion.params` = {path:?}: {reason}")]
    Params {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of revoked tokens cannot be read; names key, file and what is wrong.
    #[error("{0}")]
    Revoked(String),
    /// The store of moments cannot be opened; names key and what is wrong.
    #[error("{0}")]
    Store(String),
    /// The crypto library made no certificate.
    #[error("cannot make a DTLS certificate")]
    Certificate,
    /// A thread cannot be started.
    #[error("cannot start a media thread: {0}")]
    Thread(io::Error),
}

/// Starts servers.
#[derive(Debug, Default)]
pub struct Server;

impl Server {
    /// Binds and starts a server with the stages of this build. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the key that is at fault.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        Self::start_with(config, Stages::default()).await
    }

    /// Like [`Self::start`], with other stages.
    ///
    /// # Errors
    ///
    /// See [`Self::start`].
    pub async fn start_with(config: Config, stages: Stages) -> Result<Running, StartError> {
        check_pipeline(&config, &stages)?;
        let params = check_params(&config)?;
        let https = load_tls(&config).await?;
        let revoked = check_revoked(&config)?;
        let http = bind(config.http.listen, "http.listen").await?;
        let metrics_listener = bind(config.metrics.listen, "metrics.listen").await?;
        let bound = bind_shards(&config)?;
        let store = node::open(&config).await.map_err(StartError::Store)?;
        let identity = open_identity(&config, &store).await?;
        let (stop, stopping) = watch::channel(false);
        let (node, end) = Node::new(store, stopping.clone());
        let metrics = Arc::new(Metrics::new());
        let (threads, shards, media, events) = start_shards(&config, bound, &metrics)?;

        let https = https.map(|(https, expiry)| {
            certificate(&metrics, expiry);
            https
        });

        let capacity = config.pipeline.max_active;
        metrics
            .pipeline_capacity
            .set(i64::try_from(capacity).unwrap_or(i64::MAX));
        let grace = config.http.shutdown_grace;
        let capacity = Arc::new(Semaphore::new(capacity));
        let twitch = Arc::new(Twitch::new(&config, &metrics));
        let shared = Arc::new(Shared {
            config,
            metrics,
            shards,
            stages,
            params,
            capacity,
            sessions: Sessions::default(),
            node: node.clone(),
            twitch: twitch.clone(),
            drained: AtomicBool::new(false),
            analytics: Mutex::new(Analytics::new()),
        });
        let channels = Channels::new(shared);
        let router = tokio::spawn(channels.clone().route(events));
        let app = App::new(channels.clone(), revoked, identity, stopping.clone());
        let addresses = (
            address(&http, "http.listen")?,
            address(&metrics_listener, "metrics.listen")?,
        );
        let secured = https
            .clone()
            .map(|https| (https, app.shared.metrics.clone()));
        let pages = tokio::spawn(http::serve(
            http,
            secured,
            http::public(app.clone()),
            stopping.clone(),
            grace,
        ));
        let scrapes = tokio::spawn(http::serve(
            metrics_listener,
            None,
            http::metrics(app.clone()),
            stopping.clone(),
            grace,
        ));
        let scheme = if https.is_some() { "https" } else { "http" };
        let mut tasks = node.start(&channels, format!("{scheme}://{}/", addresses.0));
        tasks.extend(twitch.start(&node.store, &stopping));
        tasks.extend([pages, scrapes]);
        Ok(Running {
            http: addresses.0,
            metrics: addresses.1,
            media,
            https,
            app,
            stop,
            threads,
            tasks,
            end,
            _router: router,
        })
    }
}

/// A server that runs.
pub struct Running {
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where `/metrics` listens.
    pub metrics: SocketAddr,
    /// Where each media shard listens.
    pub media: Vec<SocketAddr>,
    https: Option<Https>,
    app: App,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    tasks: Vec<Task<()>>,
    end: node::End,
    _router: Task<()>,
}

impl Running {
    /// Where pages are, by the scheme that is spoken there.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.https.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/", self.http)
    }

    /// Reads certificate and key again, for the connections to come, and the list of revoked tokens, whose sessions end. What
    /// cannot be used is logged and changes nothing.
    pub async fn reload(&self) {
        let revoked = self.app.auth.revoked();
        if self.https.is_none() && !revoked.is_configured() {
            tracing::info!(
                "nothing to reload: there is no certificate and no list of revoked tokens"
            );
        }
        if let Some(https) = self.https.clone() {
            self.reload_certificate(https).await;
        }
        if revoked.is_configured() {
            self.reload_revoked(revoked.clone()).await;
        }
    }

    async fn reload_revoked(&self, revoked: Revoked) {
        // The file is on a disk.
        let list = revoked.clone();
        match tokio::task::spawn_blocking(move || list.reload()).await {
            Ok(Ok(count)) => tracing::info!(count, "revoked tokens"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the revoked tokens were not reloaded; the old list stays");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the revoked tokens were not reloaded; the old list stays");
                return;
            }
        }
        let shared = &self.app.shared;
        for (peer, shard) in shared.sessions.begun_with(|id| revoked.has(id)) {
            let close = || Command::Close(peer, CloseReason::Revoked);
            while shared.shards[shard].handle.is_alive()
                && shared.shards[shard].handle.send(close()).is_err()
            {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn reload_certificate(&self, https: Https) {
        let metrics = &self.app.shared.metrics;
        // The files are on a disk.
        let result = match tokio::task::spawn_blocking(move || https.reload()).await {
            Ok(Ok(expiry)) => {
                certificate(metrics, expiry);
                "ok"
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the certificate was not reloaded; the old one stays");
                "failed"
            }
            Err(error) => {
                tracing::error!(%error, "the certificate was not reloaded; the old one stays");
                "failed"
            }
        };
        metrics.tls_reloads.with_label_values(&[result]).inc();
    }

    /// Refuses new sessions, closes those that run, lets requests finish, and returns when all of it is done.
    pub async fn stop(self) {
        let shared = self.app.shared.clone();
        shared.metrics.draining.set(1);
        // Receivers live as long as the tasks.
        let _ = self.stop.send(true);
        for shard in &shared.shards {
            close(shard).await;
        }
        let grace = shared.config.http.shutdown_grace;
        self.app.sockets.over(grace).await;
        for task in self.tasks {
            // A panic of a connection was logged where it happened.
            let _ = task.await;
        }
        self.end.wait().await;
        shared.node.store.close().await;
        let threads = self.threads;
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join())));
        if tokio::time::timeout(STOP_LIMIT, joined).await.is_err() {
            tracing::error!("a media thread did not stop in {STOP_LIMIT:?} and is left behind");
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("http", &self.http)
            .field("media", &self.media)
            .finish_non_exhaustive()
    }
}

/// Tells a shard to close its sessions, even if its queue is full for a while.
async fn close(shard: &Shard) {
    let told = async {
        while shard.handle.is_alive()
            && shard
                .handle
                .send(Command::CloseAll(CloseReason::Shutdown))
                .is_err()
        {
            tokio::time::sleep(RETRY).await;
        }
    };
    if tokio::time::timeout(STOP_LIMIT, told).await.is_err() {
        tracing::error!("a media thread took no command for {STOP_LIMIT:?}");
    }
}

/// Refuses a default stage that this build does not have.
pub(crate) fn check_pipeline(config: &Config, stages: &Stages) -> Result<(), StartError> {
    let name = &config.pipeline.default;
    if stages.knows(name) {
        return Ok(());
    }
    let known = stages.names().collect::<Vec<_>>().join(", ");
    Err(StartError::UnknownPipeline {
        name: name.clone(),
        known,
    })
}

/// Reads the parameters that channels begin with.
pub(crate) fn check_params(config: &Config) -> Result<Params, StartError> {
    let Some(path) = &config.diffusion.params else {
        return Ok(Params::default());
    };
    let wrong = |reason: String| StartError::Params {
        path: path.clone(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let params = Params::default().merge_text(&text);
    params.map_err(|problems| wrong(problems.to_string()))
}

/// Reads certificate and key, if there are any.
pub(crate) fn check_tls(config: &Config) -> Result<Option<(Https, Expiry)>, StartError> {
    Https::load(&config.http.tls).map_err(|error| StartError::Tls(error.to_string()))
}

/// Reads the list of revoked tokens, if there is one.
pub(crate) fn check_revoked(config: &Config) -> Result<Revoked, StartError> {
    let file = config.auth.revoked.as_deref();
    Revoked::load(file).map_err(|error| StartError::Revoked(error.to_string()))
}

async fn load_tls(config: &Config) -> Result<Option<(Https, Expiry)>, StartError> {
    let config = config.clone();
    // The files are on a disk.
    let loaded = tokio::task::spawn_blocking(move || check_tls(&config)).await;
    loaded.map_err(|error| StartError::Tls(error.to_string()))?
}

/// Opens what it takes to know people, if the configuration asks for it.
async fn open_identity(
    config: &Config,
    store: &Store,
) -> Result<Option<Arc<Identity>>, StartError> {
    let identity = identity::open(config, Some(store.clone())).await;
    identity.map_err(|error| StartError::Store(format!("`auth.session_key`: {error}")))
}

fn certificate(metrics: &Metrics, Expiry(expiry): Expiry) {
    let expires = &metrics.tls_expiry;
    expires.with_label_values(&["http"]).set(expiry);
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Bind {
            key,
            address,
            error,
        })
}

fn address(listener: &TcpListener, key: &'static str) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Bind {
        key,
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        error,
    })
}

fn bind_shards(config: &Config) -> Result<Vec<Bound>, StartError> {
    let media = &config.media;
    (0..media.shards.get())
        .map(|i| {
            let address = of_shard(media.listen, i);
            let mut bound =
                Bound::new(address, &media.advertise, i).map_err(|error| StartError::Bind {
                    key: "media.listen",
                    address,
                    error,
                })?;
            if let Some(listen) = media.tcp_listen {
                let address = of_shard(listen, i);
                bound
                    .listen(address, &media.advertise, i)
                    .map_err(|error| StartError::Bind {
                        key: "media.tcp_listen",
                        address,
                        error,
                    })?;
            }
            Ok(bound)
        })
        .collect()
}

/// The address of the shard `index`: with a port given, each has the next one.
fn of_shard(first: SocketAddr, index: usize) -> SocketAddr {
    let mut address = first;
    if first.port() != 0 {
        // The configuration is refused if the last port would not fit.
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        address.set_port(first.port().saturating_add(index));
    }
    address
}

type Started = (
    Vec<JoinHandle<()>>,
    Vec<Shard>,
    Vec<SocketAddr>,
    mpsc::Receiver<(crate::engine::ids::StreamId, crate::engine::Event)>,
);

fn start_shards(
    config: &Config,
    bound: Vec<Bound>,
    metrics: &Arc<Metrics>,
) -> Result<Started, StartError> {
    let certificate = Certificate::generate().ok_or(StartError::Certificate)?;
    let limits = Limits {
        keyframe_interval: config.media.keyframe_request_interval,
        styled_rate: u64::from(config.pipeline.bitrate_kbps) * 1000,
    };
    let handles: Vec<_> = bound.iter().map(Bound::handle).collect();
    let (events, received) = mpsc::channel(EVENTS);
    let (mut threads, mut shards, mut media) = (Vec::new(), Vec::new(), Vec::new());
    for (i, shard) in bound.into_iter().enumerate() {
        let local = shard.local().map_err(StartError::Thread)?;
        let terms = Terms {
            candidates: shard.candidates().clone(),
            certificate: certificate.clone(),
            setup_timeout: config.media.setup_timeout,
            publisher_silence: config.media.publisher_silence,
            viewer_silence: config.media.viewer_silence,
        };
        tracing::info!(
            shard = i, udp = %local, candidates = ?terms.candidates.udp, tcp_candidates = ?terms.candidates.tcp,
            "media"
        );
        let neighbours = handles
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, h)| h.clone())
            .collect();
        shards.push(Shard {
            handle: shard.handle(),
            terms,
        });
        media.push(local);
        let thread = shard
            .start(i, limits, neighbours, events.clone(), metrics.shard())
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    Ok((threads, shards, media, received))
}
