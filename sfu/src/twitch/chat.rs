//! Lines in a channel's chat, as the bot, or as the streamer where there is no bot.

use std::sync::Arc;

use reqwest::RequestBuilder;
use reverie_moments::life::Ms;
use reverie_moments::store::Store;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app_token::App;
use super::helix::{Fault, Helix};
use super::streamers::{Pass, Streamers};

/// The longest line that Twitch takes, in characters.
const MAX_CHARS: usize = 500;

/// Who writes.
#[derive(Debug)]
pub(super) enum Chat {
    /// The bot, which allowed the application `user:bot`, where the streamer allowed `channel:bot`.
    Bot {
        /// In whose name Twitch is asked.
        app: Arc<App>,
        /// The bot's user id.
        id: String,
    },
    /// The streamer of each channel, who allowed `user:write:chat`.
    Streamer(Streamers),
}

/// Where to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    pub(super) channel: &'a str,
    /// The streamer's user id.
    pub(super) broadcaster: &'a str,
}

#[derive(Deserialize)]
struct Sent {
    data: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    is_sent: bool,
    drop_reason: Option<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
}

impl Chat {
    /// Writes the line into the chat of a channel.
    pub(super) async fn write(
        &self,
        store: &Store,
        room: Room<'_>,
        line: &str,
        now: Ms,
    ) -> Result<(), Fault> {
        let body = |sender: &str| json!({ "broadcaster_id": room.broadcaster, "sender_id": sender, "message": line });
        let sent: Sent = match self {
            Self::Bot { app, id } => {
                let body = body(id);
                app.ask("chat", |helix| message(helix, &body)).await?
            }
            Self::Streamer(streamers) => {
                let pass = pass(streamers, store, room, None, now).await?;
                match say(streamers, &pass, &body(&pass.user)).await {
                    Err(Fault::Token) => {
                        let stale = Some(pass.token.as_str());
                        let pass = self::pass(streamers, store, room, stale, now).await?;
                        say(streamers, &pass, &body(&pass.user)).await?
                    }
                    sent => sent?,
                }
            }
        };
        is_sent(sent)
    }
}

async fn pass(
    streamers: &Streamers,
    store: &Store,
    room: Room<'_>,
    stale: Option<&str>,
    now: Ms,
) -> Result<Pass, Fault> {
    let pass = streamers.pass(store, room.channel, stale, now).await?;
    pass.ok_or_else(|| Fault::Refused {
        status: 0,
        words: "the streamer has not allowed it".to_owned(),
    })
}

async fn say(streamers: &Streamers, pass: &Pass, body: &Value) -> Result<Sent, Fault> {
    let request = message(streamers.helix(), body).bearer_auth(&pass.token);
    let request = request.header("client-id", streamers.client_id());
    streamers.helix().ask("chat", request).await
}

fn message(helix: &Helix, body: &Value) -> RequestBuilder {
    helix.client.post(helix.url("chat/messages")).json(body)
}

/// Twitch answers 200 also to what its moderation holds back.
fn is_sent(sent: Sent) -> Result<(), Fault> {
    match sent.data.into_iter().next() {
        Some(message) if !message.is_sent => Err(Fault::Refused {
            status: 200,
            words: message.drop_reason.map_or_else(
                || "dropped".to_owned(),
                |reason| reason.message.chars().take(200).collect(),
            ),
        }),
        _ => Ok(()),
    }
}

/// What is said of a moment; `None` for a mail that says nothing that is known here.
pub(super) fn line(body: &Value) -> Option<String> {
    let name = body["name"].as_str().filter(|name| !name.is_empty());
    let name = name.unwrap_or(super::names::ANONYMOUS);
    let prompt = body["prompt"].as_str()?;
    let line = match body["kind"].as_str()? {
        "active" => format!("{name} has changed the picture: {prompt}"),
        _ => return None,
    };
    Some(cut(line))
}

fn cut(line: String) -> String {
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    let kept = line.chars().take(MAX_CHARS - 1);
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_who_asked_for_what() {
        let body = json!({ "kind": "active", "moment": "m", "name": "Ann", "prompt": "rain" });
        assert_eq!(line(&body).unwrap(), "Ann has changed the picture: rain");
        let body = json!({ "kind": "active", "moment": "m", "name": null, "prompt": "/ban x" });
        assert_eq!(
            line(&body).unwrap(),
            "Anonymous has changed the picture: /ban x"
        );
    }

    #[test]
    fn a_line_is_cut_where_twitch_takes_no_more() {
        let body = json!({ "kind": "active", "name": "Ann", "prompt": "é".repeat(500) });
        let line = line(&body).unwrap();
        assert_eq!(line.chars().count(), 500);
        assert!(line.ends_with("é…"), "{line}");
    }

    #[test]
    fn a_mail_of_another_kind_has_no_line() {
        assert_eq!(line(&json!({ "kind": "dance", "prompt": "x" })), None);
        assert_eq!(line(&json!({})), None);
    }
}
