//! The checklist: what RFC 9725 (WHIP) and the WHEP draft ask for, in short words.

/// One row.
pub(super) struct Row {
    /// Its name; tests of it begin with it in lower case and `_`.
    pub(super) id: &'static str,
    /// What is asked.
    pub(super) says: &'static str,
    /// Where.
    pub(super) from: &'static str,
    /// What is not met or is decided otherwise, and why; empty for nothing.
    pub(super) note: &'static str,
}

const fn row(id: &'static str, from: &'static str, says: &'static str, note: &'static str) -> Row {
    Row {
        id,
        says,
        from,
        note,
    }
}

/// All rows.
pub(super) const ROWS: [Row; 25] = [
    row(
        "W1",
        "RFC 9725, 4.2",
        "POST of `application/sdp` (parameters allowed): 201 with the answer and an unguessable `Location`",
        "",
    ),
    row(
        "W2",
        "RFC 9725, 4.2",
        "Another content type is 415, malformed SDP 400; bad input is never 5xx",
        "",
    ),
    row(
        "W3",
        "RFC 9725, 4.2",
        "`sendonly` and `sendrecv` offers are answered `recvonly`; `recvonly` and `inactive` are 422",
        "",
    ),
    row(
        "W4",
        "RFC 9725, 4.1",
        "GET on endpoint and session succeeds without content",
        "",
    ),
    row(
        "W5",
        "RFC 9725, 4.2; Fetch",
        "OPTIONS without credentials, with `Accept-Post`; CORS names methods, headers and what may be read",
        "",
    ),
    row(
        "W6",
        "RFC 9725, 4.3.2",
        "The answer has all candidates; offers with none, with `.local` or with TCP candidates work",
        "",
    ),
    row(
        "W7",
        "RFC 9725, 4.2",
        "DELETE ends ICE and DTLS and frees everything; a second one is 404; entity tags do not matter",
        "",
    ),
    row(
        "W8",
        "RFC 9725, 4.2; RFC 7675",
        "A dead client is released; whoever comes back takes over at once",
        "A silent publisher is released after `media.publisher_silence_s` (5 s), a silent viewer after `media.viewer_silence_s` (15 s, so that a viewer survives a tunnel); both are sooner than the 30 s after which RFC 7675 revokes consent.",
    ),
    row(
        "W9",
        "RFC 9725, 4.3.1",
        "PATCH takes `application/trickle-ice-sdpfrag` only (415); malformed is 400",
        "",
    ),
    row(
        "W10",
        "RFC 9725, 4.3.2",
        "Trickled candidates are answered 204, no body, no `ETag`",
        "",
    ),
    row(
        "W11",
        "RFC 9725, 4.3.3",
        "ICE restart: 200 with new credentials, candidates and a new `ETag`; a failed one keeps the session",
        "",
    ),
    row(
        "W12",
        "RFC 9725, 4.3.1",
        "A strong `ETag`; a wrong `If-Match` is 412; a missing one is 428 only where strictness is configured",
        "Tolerant by default, since real clients send no `If-Match`.",
    ),
    row(
        "W13",
        "RFC 9725, 4.4.1 to 4.4.3",
        "BUNDLE and rtcp-mux, at most one audio and one video, and no section refused alone",
        "",
    ),
    row(
        "W14",
        "RFC 9725, 4.4.4",
        "`setup:actpass`, `active` and `passive` offers work",
        "",
    ),
    row(
        "W15",
        "RFC 9725, 4.5, 4.7",
        "Bearer tokens (401, 403); overload is 503 with `Retry-After`; never a redirect but 307",
        "This server redirects nobody.",
    ),
    row(
        "W16",
        "RFC 9725, 4.6",
        "ICE servers as `Link` on 201 and on OPTIONS; a `Link` to playback",
        "A preflight gets none (as section 4.6 asks), and OPTIONS without a fitting token gets only servers that need no credentials.",
    ),
    row(
        "W17",
        "RFC 9725, 4.8",
        "Simulcast offers are accepted; Opus stereo is kept; the H264 profile is the one viewers get",
        "Each viewer is given the layer that its connection carries.",
    ),
    row(
        "W18",
        "RFC 9725, 4.2",
        "Without a common codec: 406, which names both sides' codecs",
        "",
    ),
    row(
        "W19",
        "RFC 9725, 4.1, 5; RFC 9457",
        "Errors are problem documents; bodies over 64 KiB are 413; too many requests are 429",
        "The loopback is not counted by address unless `http.unlimited` is changed; a session's own URL is limited for everybody.",
    ),
    row(
        "E1",
        "WHEP, Media Direction Attributes",
        "`recvonly` and `sendrecv` offers are answered `sendonly`; `sendonly` and `inactive` are 422",
        "The server makes no counter-offers (406 with SDP); the draft leaves that to the server.",
    ),
    row(
        "E2",
        "WHEP, Session Management",
        "Nobody publishes: 409 with `Retry-After`, or `?wait=1` for a session that starts by itself",
        "",
    ),
    row(
        "E3",
        "WHEP, URL Discoverability",
        "HEAD on the endpoint: 200, `application/sdp`, no body",
        "",
    ),
    row(
        "E4",
        "WHEP, Single MediaStream",
        "Every section has the `msid` of one stream",
        "",
    ),
    row(
        "E5",
        "WHEP events draft",
        "By `Link`: server-sent events of the session, and layer selection; our own event `moment`",
        "Layers are selected by `mediaId` and `encodingId`; H264 has no spatial or temporal layers inside of one encoding, so their ids are ignored. `scte35` is not offered: no advertisements are inserted. A stream's URL is a secret of its own and needs no token, since `EventSource` can send none.",
    ),
    row(
        "E6",
        "Reverie",
        "`?track=output` (default) is the shared picture, `?track=source` the untouched camera",
        "",
    ),
];
