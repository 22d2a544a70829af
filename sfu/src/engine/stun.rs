//! What is read of a datagram before its session's agent sees it (RFC 7983, RFC 8489). The parser takes what
//! anybody sends, so its panics are caught here.

use std::panic::catch_unwind;

use str0m::ice::StunMessage;

use super::paths::Word;

/// True for a STUN message.
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4
}

/// The session that a request is for: it names `our-ufrag:their-ufrag`; an answer names nobody.
pub(crate) fn ufrag(bytes: &[u8]) -> Option<String> {
    read(bytes, |message| {
        message.split_username().map(|(ours, _)| ours.to_owned())
    })
    .flatten()
}

/// What a request and its answer have in common, drawn at random by who asks (RFC 8489 section 5).
pub(crate) type Transaction = [u8; 12];

/// The transaction of a binding request.
pub(crate) fn question(bytes: &[u8]) -> Option<Transaction> {
    transaction(bytes, [0x00, 0x01])
}

/// The transaction of a successful binding response.
pub(crate) fn answer(bytes: &[u8]) -> Option<Transaction> {
    transaction(bytes, [0x01, 0x01])
}

fn transaction(bytes: &[u8], kind: [u8; 2]) -> Option<Transaction> {
    let wanted = is_stun(bytes) && bytes[..2] == kind;
    wanted.then(|| bytes[8..20].try_into().ok()).flatten()
}

/// What a STUN message says about where it comes from, if its password is right; `None` for anything else.
pub(crate) fn word(bytes: &[u8]) -> Option<Word> {
    read(bytes, |message| {
        if message.is_successful_binding_response() {
            Word::Answers
        } else if message.is_binding_request() && message.use_candidate() {
            Word::Nominates
        } else {
            Word::Sends
        }
    })
}

/// The sender of an RTP packet (RFC 3550 section 5.1), told from RTCP by its payload type (RFC 5761).
pub(crate) fn rtp_ssrc(bytes: &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let rtp = head[0] >> 6 == 2 && !(64..96).contains(&(head[1] & 0x7f));
    let ssrc = rest.first_chunk::<4>()?;
    rtp.then(|| u32::from_be_bytes(*ssrc))
}

/// True for RTCP (RFC 5761, section 4), whose content is encrypted (RFC 3711).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && bytes[0] >> 6 == 2 && (64..96).contains(&(bytes[1] & 0x7f))
}

fn read<T>(bytes: &[u8], of: impl FnOnce(&StunMessage<'_>) -> T) -> Option<T> {
    if !is_stun(bytes) {
        return None;
    }
    let parsed = catch_unwind(|| StunMessage::parse(bytes).ok());
    parsed.ok().flatten().as_ref().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rtp_has_a_sender() {
        let mut packet = [0; 12];
        (packet[0], packet[1], packet[11]) = (0x80, 108, 7);
        assert_eq!(rtp_ssrc(&packet), Some(7));
        packet[1] = 200;
        assert_eq!(rtp_ssrc(&packet), None, "a sender report");
        assert!(is_rtcp(&packet) && is_rtcp(&packet[..8]) && !is_rtcp(&packet[..7]));
        packet[0] = 22;
        assert_eq!(rtp_ssrc(&packet), None, "DTLS");
        assert_eq!(rtp_ssrc(&packet[..11]), None);
    }

    #[test]
    fn a_question_and_its_answer_share_a_transaction() {
        let mut message = [7; 20];
        message[..2].copy_from_slice(&[0, 1]);
        assert_eq!(
            (question(&message), answer(&message)),
            (Some([7; 12]), None)
        );
        message[0] = 1;
        assert_eq!(
            (question(&message), answer(&message)),
            (None, Some([7; 12]))
        );
        assert_eq!(answer(&message[..19]), None);
    }

    #[test]
    fn garbage_says_nothing() {
        assert_eq!(word(&[0; 40]), None);
        assert_eq!(ufrag(&[0, 1, 0, 200, 0, 0]), None);
    }
}
