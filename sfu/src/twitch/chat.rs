//! Lines in a channel's chat.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::app_token::App;
use super::helix::Fault;

/// The longest line that Twitch takes, in characters.
const MAX_CHARS: usize = 500;

/// Writes in chats, as the bot.
#[derive(Debug)]
pub(super) struct Chat {
    app: Arc<App>,
    bot: String,
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
    pub(super) fn new(app: Arc<App>, bot: &str) -> Self {
        Self {
            app,
            bot: bot.to_owned(),
        }
    }

    /// Writes the line into the chat of the streamer with this user id.
    pub(super) async fn write(&self, broadcaster: &str, line: &str) -> Result<(), Fault> {
        let body = json!({ "broadcaster_id": broadcaster, "sender_id": self.bot, "message": line });
        let sent: Sent = self
            .app
            .ask("chat", |helix| {
                helix.client.post(helix.url("chat/messages")).json(&body)
            })
            .await?;
        is_sent(sent)
    }
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
