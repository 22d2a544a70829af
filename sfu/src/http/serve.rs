//! The connection loop on hyper: accepts, serves, and lets requests finish when told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use super::limit::Peer;
use crate::metrics::Metrics;
use crate::tls::{Https, TlsStream};

/// A client that has not sent its request head by then is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that has not finished its TLS handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once, so that clients that never finish theirs do not take all connections.
const MAX_HANDSHAKES: usize = 1_024;
/// Connections served at once.
const MAX_CONNECTIONS: usize = 8_192;
/// Pause after a failed accept (out of file descriptors): spinning would make it worse.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopping` turns true, then finishes what runs for at most `grace`. With `https` every connection begins with
/// its handshake.
pub(crate) async fn serve(
    listener: TcpListener,
    https: Option<(Https, Arc<Metrics>)>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    grace: Duration,
) {
    // HTTP/2 without TLS is nobody's need, and waiting for its preface has no time limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let security = https.map(|(https, metrics)| Arc::new(Security::new(https, metrics)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                refused(&error).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(
                limit = MAX_CONNECTIONS,
                "too many connections; one was closed"
            );
            continue;
        };
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone().map_request(
            move |mut r: Request<Incoming>| {
                r.extensions_mut().insert(Peer(peer));
                r.map(Body::new)
            },
        ));
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        let (security, mut stopping) = (security.clone(), stopping.clone());
        tokio::spawn(async move {
            // A connection that ends badly is the client's affair.
            if let Some(security) = security {
                let stream = tokio::select! {
                    stream = security.handshake(stream) => stream,
                    () = stopped(&mut stopping) => None,
                };
                let Some(stream) = stream else { return };
                let stream = TokioIo::new(stream);
                let connection = builder.serve_connection_with_upgrades(stream, service);
                let _ = watcher.watch(connection.into_owned()).await;
            } else {
                let stream = TokioIo::new(stream);
                let connection = builder.serve_connection_with_upgrades(stream, service);
                let _ = watcher.watch(connection.into_owned()).await;
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

/// The handshakes of one listener, bounded in time and number.
struct Security {
    https: Https,
    metrics: Arc<Metrics>,
    places: Semaphore,
}

impl Security {
    fn new(https: Https, metrics: Arc<Metrics>) -> Self {
        Self {
            https,
            metrics,
            places: Semaphore::new(MAX_HANDSHAKES),
        }
    }

    /// `None` if it fails, takes too long, or too many are under way: then the connection is closed.
    async fn handshake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let (stream, result) = match self.places.try_acquire() {
            Err(_) => (None, "refused"),
            Ok(_place) => {
                let accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.https.accept(stream));
                match accepted.await {
                    Ok(Ok(stream)) => (Some(stream), "ok"),
                    Ok(Err(_)) => (None, "failed"),
                    Err(_) => (None, "timeout"),
                }
            }
        };
        let handshakes = &self.metrics.tls_handshakes;
        handshakes.with_label_values(&[result]).inc();
        stream
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn refused(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
