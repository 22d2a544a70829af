//! The cheapest publisher there is: a few tiny pictures, encoded once, that a task of this process sends again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_transcoder::color::Color;
use reverie_transcoder::encode;
use reverie_transcoder::frame::{Frame, I420, Picture};
use reverie_transcoder::size::Size;
use reverie_transcoder::time::Pts;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::PATIENCE;
use crate::http;

/// Width and height of the picture.
const SIDE: u32 = 64;
/// Pictures per second.
const RATE: u32 = 10;
/// From one keyframe to the next.
const GROUP: u32 = 5;
/// Ticks of a video's clock between two pictures.
const TICKS: u64 = 90_000 / RATE as u64;

/// A running publisher. Dropping it is a network that is gone: the server hears nothing more.
#[derive(Debug)]
pub struct Camera {
    covered: watch::Sender<bool>,
    task: JoinHandle<Result<()>>,
}

impl Camera {
    /// Publishes on a WHIP URL of a server on this machine; returns when it is connected.
    ///
    /// # Errors
    ///
    /// If it is refused, or not connected after [`PATIENCE`].
    pub async fn publish(url: &str) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let (rtc, video) = connect(url, socket.local_addr()?).await?;
        let (connected, mut is_connected) = watch::channel(false);
        let (covered, is_covered) = watch::channel(false);
        let lens = Lens {
            rtc,
            socket,
            video,
            film: film()?,
            covered: is_covered,
            connected,
            next: 0,
            shot: 0,
        };
        let task = tokio::spawn(lens.run());
        let up = timeout(PATIENCE, is_connected.wait_for(|up| *up)).await;
        let up = up.with_context(|| format!("not connected to {url} in {PATIENCE:?}"))?;
        up.with_context(|| format!("the connection to {url} ended before it was one"))?;
        drop(is_connected);
        Ok(Self { covered, task })
    }

    /// Sends no pictures from now on, or pictures again; it stays connected.
    pub fn cover(&self, covered: bool) {
        self.covered.send_replace(covered);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(url: &str, address: SocketAddr) -> Result<(Rtc, Mid)> {
    let mut config = RtcConfig::new().clear_codecs();
    let codecs = config.codec_config();
    codecs.add_h264(96.into(), Some(97.into()), true, 0x42_e01f);
    let mut rtc = config.build(Instant::now());
    rtc.add_local_candidate(Candidate::host(address, "udp")?);
    let mut api = rtc.sdp_api();
    let name = Some("camera".to_owned());
    let video = api.add_media(MediaKind::Video, Direction::SendOnly, name, None, None);
    let (offer, pending) = api.apply().context("an offer")?;
    let headers = [("content-type", "application/sdp")];
    let answer = http::send(Method::POST, url, &headers, offer.to_sdp_string()).await?;
    ensure!(answer.status == 201, "{url}: {answer:?}");
    let answer = SdpAnswer::from_sdp_string(&answer.body)?;
    rtc.sdp_api().accept_answer(pending, answer)?;
    Ok((rtc, video))
}

/// One group of pictures, each another grey.
fn film() -> Result<Vec<Arc<[u8]>>> {
    let mut encoder = encode::open(&encode::Config::default())?;
    let size = Size::new(SIDE, SIDE)?;
    let mut units = Vec::new();
    for n in 0..GROUP {
        let mut picture = I420::black(size, Color::BT601);
        let grey = u8::try_from(40 + 40 * n).unwrap_or(u8::MAX);
        picture.planes_mut()[0].fill(grey);
        let frame = Frame {
            pts: Pts::from_duration(Duration::from_secs(1) * n / RATE),
            arrived: Instant::now(),
            picture: Picture::I420(picture),
        };
        encoder.encode(&frame, n == 0, &mut units)?;
    }
    let film: Vec<_> = units.iter().map(|unit| Arc::from(&unit.data[..])).collect();
    ensure!(!film.is_empty(), "the encoder gives no picture");
    Ok(film)
}

/// What looks and sends.
struct Lens {
    rtc: Rtc,
    socket: UdpSocket,
    video: Mid,
    film: Vec<Arc<[u8]>>,
    covered: watch::Receiver<bool>,
    connected: watch::Sender<bool>,
    /// The picture of the group that is next.
    next: usize,
    /// Pictures until now, those that were not sent included.
    shot: u64,
}

impl Lens {
    async fn run(mut self) -> Result<()> {
        let address = self.socket.local_addr()?;
        let mut buffer = [0; 2048];
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Some(wake) = self.drain().await? else {
                return Ok(());
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // A port that nobody has is a server that was killed.
                    let Ok((length, source)) = received else { continue };
                    let read = Receive::new(Protocol::Udp, source, address, &buffer[..length]);
                    if let Ok(receive) = read {
                        self.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now()))?;
                }
                _ = ticks.tick() => self.shoot()?,
            }
        }
    }

    /// Sends what is to be sent; gives when to come back, or `None` at the end.
    async fn drain(&mut self) -> Result<Option<Instant>> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(Some(at)),
                Output::Transmit(sent) => {
                    // What is lost is sent again.
                    let _ = self.socket.send_to(&sent.contents, sent.destination).await;
                }
                Output::Event(Event::Connected) => {
                    self.connected.send_replace(true);
                }
                Output::Event(Event::KeyframeRequest(_)) => self.next = 0,
                Output::Event(Event::IceConnectionStateChange(
                    IceConnectionState::Disconnected,
                )) => return Ok(None),
                Output::Event(_) => {}
            }
        }
    }

    fn shoot(&mut self) -> Result<()> {
        self.shot += 1;
        if !*self.connected.borrow() || *self.covered.borrow() {
            self.next = 0;
            return Ok(());
        }
        let unit = self.film[self.next].clone();
        self.next = (self.next + 1) % self.film.len();
        let writer = self.rtc.writer(self.video).context("a track to write on")?;
        let payload = writer.payload_params().next().context("a codec")?.pt();
        let time = MediaTime::from_90khz(self.shot * TICKS);
        writer.write(payload, Instant::now(), time, unit)?;
        Ok(())
    }
}
