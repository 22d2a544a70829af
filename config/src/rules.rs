//! What keys must hold together: no door open to other machines without a token, and limits that do not contradict.

use std::net::IpAddr;

use crate::Config;
use crate::environment::variable;
use crate::error::Problem;
use crate::grant::Role;
use crate::load::Settled;

/// Adds a problem for every rule that is broken. A key that was refused already breaks no rule.
pub(crate) fn check(config: &Config, settled: &Settled, problems: &mut Vec<Problem>) {
    let mut check = Check {
        config,
        settled,
        problems,
    };
    check.http_tokens();
    check.people();
    check.metrics_token();
    check.tls_files();
    check.durations();
    check.heartbeat();
    check.ports();
    check.advertised();
    check.twitch();
}

struct Check<'a> {
    config: &'a Config,
    settled: &'a Settled,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn http_tokens(&mut self) {
        let (http, auth) = (&self.config.http, &self.config.auth);
        if is_loopback(http.listen.ip()) || self.settled.is_wrong("http.listen") {
            return;
        }
        let why = self.reachable("http.listen", &http.listen);
        let published = auth.guards(Role::Publish)
            || self.settled.is_wrong("auth.token_key")
            || self.settled.is_wrong("auth.session_key")
            || self.settled.is_wrong("auth.tokens");
        self.require("auth.publish_token", published, &why, "");
        let controlled = auth.guards_control() || self.settled.is_wrong("auth.session_key");
        self.require("auth.control_token", controlled, &why, "");
        let watchable = auth.guards(Role::Watch)
            || auth.public_watch
            || self.settled.is_wrong("auth.token_key")
            || self.settled.is_wrong("auth.session_key")
            || self.settled.is_wrong("auth.tokens")
            || self.settled.is_wrong("auth.public_watch");
        let instead = format!(
            ", or let everybody watch with `auth.public_watch = true` or {}=true",
            variable("auth.public_watch")
        );
        self.require("auth.watch_token", watchable, &why, &instead);
    }

    fn people(&mut self) {
        let auth = &self.config.auth;
        let sessions = auth.session_key.is_some();
        if auth.registration && !sessions {
            let message = "is true and `auth.session_key` is not set: nobody could sign in";
            self.report(
                "auth.registration",
                &["auth.session_key"],
                message.to_owned(),
            );
        }
    }

    fn metrics_token(&mut self) {
        let listen = self.config.metrics.listen;
        if is_loopback(listen.ip()) || self.settled.is_wrong("metrics.listen") {
            return;
        }
        let why = self.reachable("metrics.listen", &listen);
        self.require(
            "auth.metrics_token",
            self.config.auth.metrics_token.is_some(),
            &why,
            "",
        );
    }

    fn tls_files(&mut self) {
        let tls = &self.config.http.tls;
        let (set, unset) = match (&tls.cert, &tls.key) {
            (Some(_), None) => ("http.tls.cert", "http.tls.key"),
            (None, Some(_)) => ("http.tls.key", "http.tls.cert"),
            _ => return,
        };
        let message = format!("is set and `{unset}` is not: HTTPS needs both");
        self.report(set, &[unset], message);
    }

    fn twitch(&mut self) {
        let twitch = &self.config.twitch;
        let (application, extension) = (
            twitch.client_id.is_some(),
            twitch.extension_client_id.is_some(),
        );
        let keys = [
            ("twitch.client_secret", twitch.client_secret.is_some()),
            ("twitch.eventsub_secret", twitch.eventsub_secret.is_some()),
            ("twitch.bot_user_id", twitch.bot_user_id.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, set)| *set && !application) {
            let message = "is set and `twitch.client_id` is not: it is the application's";
            self.report(key, &["twitch.client_id"], message.to_owned());
        }
        let twitch = &self.config.twitch;
        let keys = [
            (
                "twitch.extension_secrets",
                !twitch.extension_secrets.is_empty(),
            ),
            (
                "twitch.extension_client_secret",
                twitch.extension_client_secret.is_some(),
            ),
            (
                "twitch.extension_owner_id",
                twitch.extension_owner_id.is_some(),
            ),
        ];
        for (key, _) in keys.into_iter().filter(|(_, set)| *set && !extension) {
            let message = "is set and `twitch.extension_client_id` is not: it is the extension's";
            self.report(key, &["twitch.extension_client_id"], message.to_owned());
        }
    }

    fn durations(&mut self) {
        let (default, max) = (
            self.config.moments.default_duration,
            self.config.moments.max_duration,
        );
        if default > max {
            let message = format!(
                "is {} seconds, more than `moments.max_duration_s`, which is {}",
                default.as_secs(),
                self.told("moments.max_duration_s", max.as_secs())
            );
            self.report(
                "moments.default_duration_s",
                &["moments.max_duration_s"],
                message,
            );
        }
    }

    fn heartbeat(&mut self) {
        let (heartbeat, lease) = (self.config.moments.heartbeat, self.config.moments.lease);
        if heartbeat * 2 >= lease {
            let message = format!(
                "is {} seconds, not less than half of `moments.lease_s`, which is {}: one that is late would lose the lease",
                heartbeat.as_secs(),
                self.told("moments.lease_s", lease.as_secs())
            );
            self.report("moments.heartbeat_s", &["moments.lease_s"], message);
        }
    }

    fn ports(&mut self) {
        let media = &self.config.media;
        let first = [
            ("media.listen", Some(media.listen)),
            ("media.tcp_listen", media.tcp_listen),
        ];
        let shards = media.shards.get();
        for (key, port) in first.map(|(key, address)| (key, address.map_or(0, |a| a.port()))) {
            let last = usize::from(port) + shards - 1;
            if port != 0 && last > usize::from(u16::MAX) {
                let message = format!(
                    "has port {port}, but `media.shards` is {}, and the last of them would bind port {last}",
                    self.told("media.shards", shards)
                );
                self.report(key, &["media.shards"], message);
            }
        }
    }

    fn advertised(&mut self) {
        let media = &self.config.media;
        let (advertise, shards) = (media.advertise.clone(), media.shards.get());
        let unusable = advertise
            .iter()
            .find(|a| a.ip.is_unspecified() || a.ip.is_multicast() || a.port == Some(0));
        if let Some(item) = unusable {
            self.report(
                "media.advertise",
                &[],
                format!("names {item}, which no peer can send to"),
            );
        }
        let last = |port: u16| usize::from(port) + shards - 1;
        let beyond = advertise
            .iter()
            .filter_map(|a| a.port)
            .find(|port| last(*port) > usize::from(u16::MAX));
        if let Some(port) = beyond {
            let message = format!(
                "has port {port}, but `media.shards` is {}, and the last of them would be at port {}",
                self.told("media.shards", shards),
                last(port)
            );
            self.report("media.advertise", &["media.shards"], message);
        }
    }

    fn reachable(&self, key: &str, listen: &std::net::SocketAddr) -> String {
        format!(
            "`{key}` is {}, which other machines can reach",
            self.told(key, listen)
        )
    }

    fn require(&mut self, key: &str, satisfied: bool, why: &str, instead: &str) {
        if !satisfied {
            let message = format!(
                "must be set because {why}: write it in the file or set {}{instead}",
                variable(key)
            );
            self.report(key, &[], message);
        }
    }

    fn told(&self, key: &str, value: impl std::fmt::Display) -> String {
        format!("{value} ({})", self.settled.origin(key))
    }

    fn report(&mut self, key: &str, others: &[&str], message: String) {
        let wrong =
            self.settled.is_wrong(key) || others.iter().any(|other| self.settled.is_wrong(other));
        if !wrong {
            self.problems
                .push(Problem::of_key(key, self.settled.origin(key), message));
        }
    }
}

/// Whether only this machine can reach the address, IPv4 written as IPv6 included.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_every_notation() {
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(local.parse().unwrap()), "{local}");
        }
        for open in [
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "203.0.113.7",
        ] {
            assert!(!is_loopback(open.parse().unwrap()), "{open}");
        }
    }
}
