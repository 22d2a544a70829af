//! What is changed in an offer before the media engine sees it, and in an answer before the client does.

use std::fmt::Write as _;

use super::fragment::Credentials;
use super::{Direction, Summary};

/// The offer as the media engine takes it.
///
/// Every `sendrecv` section is narrowed to `direction`, since a session carries media one way only (RFC 9725
/// section 4.2; a section that says nothing is `sendrecv`). All enabled sections are one bundle, named in their
/// order. Candidates are left out: they are judged one by one, and most clients send some nobody can use.
#[must_use]
pub fn prepare(offer: &str, summary: &Summary, direction: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 64);
    let mut session = direction.to_owned();
    let (mut in_section, mut said) = (false, true);
    for line in offer.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        if line.starts_with("m=") {
            finish(&mut out, said, &session);
            if !in_section {
                bundle(&mut out, summary);
            }
            (in_section, said) = (true, false);
        }
        let attribute = line.strip_prefix("a=");
        if attribute.is_some_and(is_left_out) {
            continue;
        }
        match attribute.map(|a| (a, Direction::parse(a))) {
            Some((_, Some(Direction::SendRecv))) => {}
            Some((name, Some(_))) if !in_section => session = name.to_owned(),
            other => {
                said |= matches!(other, Some((_, Some(_))));
                let _ = write!(out, "{line}\r\n");
            }
        }
    }
    finish(&mut out, said, &session);
    out
}

fn is_left_out(attribute: &str) -> bool {
    attribute.starts_with("candidate:")
        || attribute.starts_with("group:")
        || attribute == "end-of-candidates"
}

/// Ends a section that did not say its direction with the one that holds for the session.
fn finish(out: &mut String, said: bool, session: &str) {
    if !said {
        let _ = write!(out, "a={session}\r\n");
    }
}

fn bundle(out: &mut String, summary: &Summary) {
    let mids: Vec<_> = summary.enabled().filter_map(|s| s.mid.as_deref()).collect();
    let _ = write!(out, "a=group:BUNDLE {}\r\n", mids.join(" "));
}

/// What of a prepared offer an ICE restart needs again: not the names of streams, which are running by then.
#[must_use]
pub(crate) fn restartable(prepared: &str) -> Box<str> {
    let kept = prepared.split_inclusive("\r\n");
    let kept = kept.filter(|l| !l.starts_with("a=ssrc") && !l.starts_with("a=msid"));
    kept.collect::<String>().into_boxed_str()
}

/// A prepared offer with other ICE credentials.
#[must_use]
pub(crate) fn with_credentials(prepared: &str, credentials: &Credentials) -> String {
    let mut out = String::with_capacity(prepared.len() + 64);
    for line in prepared.lines() {
        let _ = if line.starts_with("a=ice-ufrag:") {
            write!(out, "a=ice-ufrag:{}\r\n", credentials.ufrag)
        } else if line.starts_with("a=ice-pwd:") {
            write!(out, "a=ice-pwd:{}\r\n", credentials.pwd)
        } else {
            write!(out, "{line}\r\n")
        };
    }
    out
}

/// Puts all media of an answer into one stream with one canonical name.
///
/// A browser synchronises picture and sound only within one stream (RFC 8830), and takes the
/// canonical name from the SSRC lines (RFC 5576).
#[must_use]
pub fn one_stream(answer: &str, stream: &str) -> String {
    let mut out = String::with_capacity(answer.len() + 64);
    for line in answer.lines() {
        let line = line.trim_end();
        let rewritten = rewrite_line(line, stream);
        let _ = write!(out, "{}\r\n", rewritten.as_deref().unwrap_or(line));
    }
    out
}

fn rewrite_line(line: &str, stream: &str) -> Option<String> {
    if let Some(ids) = line.strip_prefix("a=msid:") {
        let track = ids.split(' ').nth(1)?;
        return Some(format!("a=msid:{stream} {track}"));
    }
    if line.starts_with("a=msid-semantic") {
        return Some(format!("a=msid-semantic: WMS {stream}"));
    }
    let rest = line.strip_prefix("a=ssrc:")?;
    let (ssrc, attribute) = rest.split_once(' ')?;
    if let Some(ids) = attribute.strip_prefix("msid:") {
        let track = ids.split(' ').nth(1)?;
        return Some(format!("a=ssrc:{ssrc} msid:{stream} {track}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(offer: &str, direction: &str) -> String {
        prepare(offer, &Summary::read(offer), direction)
    }

    #[test]
    fn a_section_for_both_ways_is_narrowed_to_one() {
        let offer = "v=0\r\na=sendrecv\r\nm=audio 9 A 1\r\na=sendrecv\r\na=mid:0\r\nm=video 9 A 2\r\na=mid:1\r\nm=video 9 A 3\r\na=inactive\r\n";
        let narrowed = prepared(offer, "sendonly");
        let directions: Vec<_> = Summary::read(&narrowed)
            .sections
            .iter()
            .map(|s| s.direction)
            .collect();
        assert_eq!(
            directions,
            [
                Direction::SendOnly,
                Direction::SendOnly,
                Direction::Inactive
            ],
            "{narrowed}"
        );
        let one_way = prepared(
            "v=0\r\na=recvonly\r\nm=audio 9 A 1\r\na=mid:0\r\n",
            "sendonly",
        );
        assert_eq!(
            Summary::read(&one_way).sections[0].direction,
            Direction::RecvOnly
        );
    }

    #[test]
    fn a_bundle_is_named_in_the_order_of_its_sections_and_candidates_are_left_out() {
        let offer = "v=0\r\na=group:LS 0 1\r\na=group:BUNDLE 1 0\r\nm=audio 9 A 1\r\na=mid:0\r\n\
            a=candidate:1 1 udp 1 x.local 1 typ host\r\na=end-of-candidates\r\nm=video 9 A 2\r\na=mid:1\r\n";
        assert_eq!(
            prepared(offer, "sendonly"),
            "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 A 1\r\na=mid:0\r\na=sendonly\r\nm=video 9 A 2\r\na=mid:1\r\na=sendonly\r\n"
        );
    }

    #[test]
    fn an_offer_is_kept_for_a_restart_without_its_streams() {
        let kept = restartable(
            "m=audio 9 A 1\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\na=ssrc:1 cname:x\r\na=msid:x y\r\n",
        );
        let credentials = Credentials {
            ufrag: "new".to_owned(),
            pwd: "newer".to_owned(),
        };
        assert_eq!(
            with_credentials(&kept, &credentials),
            "m=audio 9 A 1\r\na=ice-ufrag:new\r\na=ice-pwd:newer\r\n"
        );
    }

    #[test]
    fn an_answer_names_one_stream() {
        let answer = "v=0\r\na=msid-semantic: WMS x y\r\nm=audio 9 A 1\r\na=msid:x t1\r\na=ssrc:1 cname:c\r\na=ssrc:1 msid:x t1\r\nm=video 9 A 2\r\na=msid:y t2\r\n";
        let one = one_stream(answer, "reverie");
        assert!(one.contains("a=msid:reverie t1\r\n") && one.contains("a=msid:reverie t2\r\n"));
        assert!(one.contains("a=ssrc:1 msid:reverie t1\r\n") && one.contains("WMS reverie\r\n"));
        assert!(one.contains("a=ssrc:1 cname:c\r\n"));
    }
}
