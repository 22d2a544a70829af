//! The `Link` headers of WHIP and WHEP (RFC 8288): ICE servers, playback, protocol extensions.

use axum::http::{HeaderMap, HeaderValue, header};
use reverie_config::IceServer;

use super::{layers, session_events};
use crate::session::Protocol;

/// What a client should learn of a new session.
pub(super) fn of_session(
    headers: &mut HeaderMap,
    protocol: Protocol,
    channel: &str,
    id: &str,
    ice: &[IceServer],
) {
    match protocol {
        Protocol::Whip => append(
            headers,
            &format!("</whep/{channel}>; rel=\"urn:ietf:params:whip:whep\""),
        ),
        Protocol::Whep => {
            append(
                headers,
                &format!(
                    "</whep/{channel}/{id}/events>; rel=\"{}\"; events=\"{}\"",
                    session_events::EXTENSION,
                    session_events::ALL.join(",")
                ),
            );
            append(
                headers,
                &format!(
                    "</whep/{channel}/{id}/layer>; rel=\"{}\"",
                    layers::EXTENSION
                ),
            );
        }
    }
    of_ice(headers, ice, true);
}

/// RFC 9725, section 4.6. Servers that need credentials are named only together with them.
pub(super) fn of_ice(headers: &mut HeaderMap, servers: &[IceServer], credentials: bool) {
    for server in servers {
        let uri = &server.uri;
        match &server.login {
            None => append(headers, &format!("<{uri}>; rel=\"ice-server\"")),
            Some(login) if credentials => append(
                headers,
                &format!(
                    "<{uri}>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    login.user,
                    login.password()
                ),
            ),
            Some(_) => {}
        }
    }
}

fn append(headers: &mut HeaderMap, link: &str) {
    // Channel names, ids and configured servers are plain ASCII.
    if let Ok(value) = HeaderValue::from_str(link) {
        headers.append(header::LINK, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_server_is_named_only_with_its_credentials() {
        let servers = [
            "stun:stun.example.org",
            "turn:turn.example.org?transport=tcp alice hunter2",
        ]
        .map(|text| IceServer::parse(text).expect("a server"));
        let links = |credentials| {
            let mut headers = HeaderMap::new();
            of_ice(&mut headers, &servers, credentials);
            headers
                .get_all(header::LINK)
                .iter()
                .map(|v| v.to_str().expect("text").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            links(false),
            ["<stun:stun.example.org>; rel=\"ice-server\""]
        );
        assert_eq!(
            links(true)[1],
            "<turn:turn.example.org?transport=tcp>; rel=\"ice-server\"; username=\"alice\"; credential=\"hunter2\"; credential-type=\"password\""
        );
    }
}
