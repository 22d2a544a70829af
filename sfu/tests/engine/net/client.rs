//! A client of the engine: its WebRTC engine, what it received, and the links between the two.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use reverie_sfu::engine::ids::PeerId;
use str0m::media::Mid;
use str0m::rtp::{RtpPacket, Ssrc};
use str0m::{IceConnectionState, Rtc};
use str0m_netem::{Input as Enter, Netem, Output as Leave};

/// A client of the engine.
pub(crate) struct Client {
    /// Its WebRTC engine.
    pub(crate) rtc: Rtc,
    /// Its name in the engine.
    pub(crate) id: PeerId,
    /// Media it received, in order of arrival.
    pub(crate) received: Vec<RtpPacket>,
    /// Sender reports it received, in order of arrival: stream, NTP time, RTP time.
    pub(crate) reports: Vec<(Ssrc, SystemTime, u32)>,
    /// Keyframe requests it received.
    pub(crate) keyframe_requests: usize,
    /// The layers that they were for, in order; those without a name are left out.
    pub(crate) layers_asked: Vec<String>,
    /// Its ICE state.
    pub(crate) state: IceConnectionState,
    /// True once it was told that the session is over.
    pub(crate) closed: bool,
    /// Datagrams to it are lost while this is set, and so are those from it.
    pub(crate) cut_off: bool,
    /// Datagrams that the engine sent to its address, whether they arrived or not.
    pub(crate) addressed: usize,
    /// The answer it was given.
    pub(crate) answer: String,
    /// Where the engine sees it: another address than its own behind a NAT.
    pub(crate) public: SocketAddr,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// What its datagrams go through to the engine and back; `None` loses and delays nothing.
    pub(super) up: Option<Netem<Vec<u8>>>,
    pub(super) down: Option<Netem<Vec<u8>>>,
    /// How long its datagrams take to the engine.
    pub(crate) uplink: Duration,
    pub(super) video: Mid,
    pub(super) audio: Mid,
    pub(super) next: Instant,
}

impl Client {
    pub(super) fn take(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::RtpPacket(packet) => self.received.push(packet),
            str0m::Event::SenderFeedback(report) => {
                let info = report.sender_info;
                // The wire carries 32 bits.
                #[allow(clippy::cast_possible_truncation)]
                let rtp = info.rtp_time.numer() as u32;
                self.reports.push((info.ssrc, info.ntp_time, rtp));
            }
            str0m::Event::KeyframeRequest(request) => {
                self.keyframe_requests += 1;
                self.layers_asked
                    .extend(request.rid.map(|rid| rid.to_string()));
            }
            str0m::Event::IceConnectionStateChange(state) => self.state = state,
            str0m::Event::Closed => self.closed = true,
            _ => {}
        }
    }

    /// Asks the server for a keyframe of the received video.
    pub(crate) fn ask_for_keyframe(&mut self) {
        let ssrc: Option<Ssrc> = self
            .received
            .iter()
            .rev()
            .find(|p| p.payload.first().is_some_and(|b| *b != 0))
            .map(|p| p.header.ssrc);
        let Some(ssrc) = ssrc else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        }
    }
}

/// When something that is on a link arrives.
pub(super) fn due(link: &Option<Netem<Vec<u8>>>) -> Option<Instant> {
    link.as_ref()
        .filter(|l| !l.is_empty())
        .map(Netem::poll_timeout)
}

/// What has passed a link by now.
pub(super) fn passed(link: &mut Option<Netem<Vec<u8>>>, now: Instant) -> Vec<Vec<u8>> {
    let Some(link) = link else { return Vec::new() };
    link.handle_input(Enter::Timeout(now));
    let mut all = Vec::new();
    while let Some(output) = link.poll_output() {
        match output {
            Leave::Packet(bytes) => all.push(bytes),
            Leave::Timeout(_) => break,
        }
    }
    all
}
