//! One OS thread with one UDP socket and one engine: read a batch, let the engine decide, send a batch.
//!
//! Work per turn is bounded, so that a flood on one side cannot starve the other.

mod connection;
mod relay;
mod socket;
mod tcp;

pub(crate) use socket::Counts as SocketCounts;
pub use socket::Media;
pub(crate) use tcp::Counts as TcpCounts;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use reverie_config::Advertised;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError as EventsFull;

use crate::engine::ids::StreamId;
use crate::engine::negotiate::Candidates;
use crate::engine::{Bus, Command, Engine, Event, Input, Limits, Output, Remote, Transport};
use crate::metrics::ShardMetrics;
use relay::Relay;
use tcp::Tcp;

/// Commands waiting for one shard; about a second of media between shards.
const COMMANDS: usize = 4096;
/// Batches of datagrams and commands taken in one turn before anything else is looked at.
const BATCHES_PER_TURN: usize = 4;
const COMMANDS_PER_TURN: usize = 256;
/// How often counters are exported.
const EXPORT_INTERVAL: Duration = Duration::from_millis(250);

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// The listener; connections have higher ones.
const LISTENER: Token = Token(2);

/// The command queue of a shard is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the media thread is overloaded or has stopped")]
pub struct Busy;

/// The way to a shard; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    commands: SyncSender<Command>,
    waker: Arc<Waker>,
    alive: Arc<AtomicBool>,
}

impl Handle {
    /// Gives a command to the shard; never blocks.
    ///
    /// # Errors
    ///
    /// [`Busy`] if its queue is full or the thread has ended.
    pub fn send(&self, command: Command) -> Result<(), Busy> {
        self.enqueue(command)?;
        self.wake();
        Ok(())
    }

    /// False once the thread has ended, for whatever reason.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    fn enqueue(&self, command: Command) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|e| match e {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }

    fn wake(&self) {
        // Fails only when the process runs out of descriptors' counters; the shard then wakes by its own deadline.
        let _ = self.waker.wake();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("shard::Handle")
    }
}

/// A bound shard that does not run yet: all sockets are bound before any thread starts.
pub struct Bound {
    poll: Poll,
    media: Media,
    tcp: Option<Tcp>,
    commands: Receiver<Command>,
    handle: Handle,
    candidates: Candidates,
}

impl Bound {
    /// Binds the socket of the shard `index`.
    ///
    /// # Errors
    ///
    /// Whatever the system says of the address.
    pub fn new(address: SocketAddr, advertise: &[Advertised], index: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut media = Media::bind(address)?;
        poll.registry()
            .register(&mut media.socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = sync_channel(COMMANDS);
        let udp = socket::candidates(media.local()?, advertise, index);
        let candidates = Candidates::udp(&udp);
        Ok(Self {
            poll,
            media,
            tcp: None,
            commands,
            handle: Handle {
                commands: sender,
                waker,
                alive: Arc::new(AtomicBool::new(true)),
            },
            candidates,
        })
    }

    /// Takes media over TCP connections too.
    ///
    /// # Errors
    ///
    /// Whatever the system says of the address.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        advertise: &[Advertised],
        index: usize,
    ) -> io::Result<()> {
        let registry = self.poll.registry().try_clone()?;
        let tcp = Tcp::bind(address, registry, LISTENER)?;
        // A mapped port is that of the datagrams; it holds for connections too where both have one number.
        let same = tcp.local().port() == self.media.local()?.port();
        let advertise: Vec<_> = advertise
            .iter()
            .map(|a| Advertised {
                port: a.port.filter(|_| same),
                ..*a
            })
            .collect();
        self.candidates.tcp = socket::candidates(tcp.local(), &advertise, index).into();
        self.tcp = Some(tcp);
        Ok(())
    }

    /// The way to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.media.local()
    }

    /// What peers are told.
    #[must_use]
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// Starts the thread `media:<index>`; it ends after [`Command::CloseAll`] once every handle's message is done.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub fn start(
        self,
        index: usize,
        limits: Limits,
        neighbours: Vec<Handle>,
        events: Sender<(StreamId, Event)>,
        metrics: ShardMetrics,
    ) -> io::Result<JoinHandle<()>> {
        let alive = Alive(self.handle.alive.clone());
        let shard = Shard {
            poll: self.poll,
            media: self.media,
            tcp: self.tcp,
            commands: self.commands,
            engine: Engine::new(limits, Instant::now()),
            relays: neighbours.into_iter().map(Relay::new).collect(),
            events,
            backlog: VecDeque::new(),
            metrics,
            exported: Instant::now(),
            closing: false,
            wake_at: Instant::now(),
        };
        std::thread::Builder::new()
            .name(format!("media:{index}"))
            .spawn(move || {
                let _alive = alive;
                shard.run();
            })
    }
}

/// Says that the thread has ended, also when it panicked.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct Shard {
    poll: Poll,
    media: Media,
    tcp: Option<Tcp>,
    commands: Receiver<Command>,
    engine: Engine,
    relays: Vec<Relay>,
    events: Sender<(StreamId, Event)>,
    /// Events that found their channel full; never dropped, and few: they are per session, not per packet.
    backlog: VecDeque<(StreamId, Event)>,
    metrics: ShardMetrics,
    exported: Instant,
    closing: bool,
    wake_at: Instant,
}

impl Shard {
    fn run(mut self) {
        let mut ready = Events::with_capacity(256);
        let mut wait = Duration::ZERO;
        loop {
            match self.poll.poll(&mut ready, Some(wait)) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    tracing::error!(error = %e, "a media thread lost its poller and stops");
                    return;
                }
            }
            if let Some(tcp) = &mut self.tcp {
                for event in ready.iter().filter(|e| e.token() >= LISTENER) {
                    tcp.wake(event.token(), event.is_writable());
                }
            }
            let more = self.turn();
            if self.closing && self.engine.is_empty() && self.backlog.is_empty() {
                return;
            }
            wait = if more {
                Duration::ZERO
            } else {
                self.until_next()
            };
        }
    }

    /// One bounded round; true if more is waiting already.
    fn turn(&mut self) -> bool {
        let start = Instant::now();
        let forwarded = self.engine.counts.sent;
        let more_datagrams = self.read() | self.read_connections();
        let more_commands = self.obey();
        self.engine.handle(Instant::now(), Input::Timeout);
        self.drain();
        self.media.flush();
        if self.engine.counts.sent != forwarded {
            self.metrics.forwarded(start.elapsed());
        }
        for relay in &mut self.relays {
            relay.flush();
        }
        self.flush_events();
        self.export();
        more_datagrams || more_commands
    }

    fn read(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let now = Instant::now();
            let engine = &mut self.engine;
            let read = self.media.receive(|source, destination, bytes| {
                engine.handle(
                    now,
                    Input::Datagram {
                        source,
                        destination,
                        bytes,
                    },
                );
            });
            match read {
                Ok(true) => self.drain(),
                // An ICMP error of an earlier send is reported here; the peer's silence will tell.
                Ok(false) | Err(_) => return false,
            }
        }
        true
    }

    fn read_connections(&mut self) -> bool {
        let Some(tcp) = &mut self.tcp else {
            return false;
        };
        let now = Instant::now();
        let engine = &mut self.engine;
        let more = tcp.receive(now, |source, destination, bytes| {
            engine.handle(
                now,
                Input::Framed {
                    source,
                    destination,
                    bytes,
                },
            );
        });
        tcp.sweep(now, |remote| engine.knows(Remote::tcp(remote)));
        self.drain();
        more
    }

    fn obey(&mut self) -> bool {
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else {
                return false;
            };
            self.closing |= matches!(command, Command::CloseAll(_));
            self.engine.handle(Instant::now(), Input::Command(command));
            self.drain();
        }
        true
    }

    fn drain(&mut self) {
        loop {
            match self.engine.poll() {
                Output::Transmit(transmit) => match (transmit.transport, &mut self.tcp) {
                    (Transport::Udp, _) => self.media.send(&transmit),
                    (Transport::Tcp, Some(tcp)) => tcp.send(&transmit),
                    // No candidate for it was named.
                    (Transport::Tcp, None) => {}
                },
                Output::Event(stream, event) => self.backlog.push_back((stream, event)),
                Output::Bus(message) => {
                    let starved: Vec<_> = self
                        .relays
                        .iter_mut()
                        .flat_map(|r| r.pass(&message))
                        .collect();
                    for (stream, layer) in starved {
                        let wanted = Bus::WantKeyframe(stream, Some(layer));
                        self.engine
                            .handle(Instant::now(), Input::Command(Command::Bus(wanted)));
                    }
                }
                Output::Wait(at, _) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    fn flush_events(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            match self.events.try_send(event) {
                Ok(()) | Err(EventsFull::Closed(_)) => {}
                Err(EventsFull::Full(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
            }
        }
    }

    fn export(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.exported) >= EXPORT_INTERVAL {
            self.exported = now;
            self.metrics
                .export(&self.engine.counts, self.media.counts());
            if let Some(tcp) = &self.tcp {
                self.metrics.export_tcp(tcp.counts());
            }
        }
    }

    fn until_next(&self) -> Duration {
        if !self.backlog.is_empty() || self.relays.iter().any(Relay::is_waiting) {
            return Duration::from_millis(1);
        }
        let wait = self.wake_at.saturating_duration_since(Instant::now());
        if self.engine.is_empty() && !self.tcp.as_ref().is_some_and(Tcp::is_busy) {
            wait
        } else {
            wait.min(EXPORT_INTERVAL)
        }
    }
}
