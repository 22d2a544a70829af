//! What the streamer's pages said to the server and heard of it, and what they made of that.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{DESK, Show};

const EVENTS: &str = "window.reverie.events";

/// One message over a WebSocket, as the page's scripts see it.
#[derive(Debug)]
pub(super) struct Message {
    /// Seconds since 1970.
    pub(super) t: f64,
    pub(super) sent: bool,
    pub(super) body: Value,
}

impl Show {
    /// What a page of the desk finds.
    pub(super) async fn finds(&mut self, page: &str, code: &str) -> Result<Value> {
        let eval = json!({ "cmd": "eval", "page": page, "code": code });
        self.browsers[DESK].ask(eval).await
    }

    /// What a page's scripts sent and got.
    pub(super) fn lines(&mut self, page: &str) -> Vec<Value> {
        let browser = &mut self.browsers[DESK];
        browser.catch_up();
        let lines = browser.seen.iter();
        let own = lines.filter(|l| l["event"] == "traffic" && l["page"] == page);
        own.cloned().collect()
    }

    /// What a page and the server said to each other over WebSockets, in that order.
    pub(super) fn messages(&mut self, page: &str) -> Vec<Message> {
        let lines = self.lines(page).into_iter();
        let over = lines.filter(|l| l["url"].as_str().is_some_and(|url| url.ends_with("/ws")));
        let read = over.filter_map(|line| {
            let sent = line["way"] == "sent";
            let text = if sent { &line["body"] } else { &line["text"] };
            let body = serde_json::from_str(text.as_str()?).ok()?;
            let t = line["t"].as_f64()?;
            (line["method"] != "WebSocket").then_some(Message { t, sent, body })
        });
        read.collect()
    }

    /// When a page gave a command, each time that it did.
    pub(super) fn commanded(&mut self, page: &str, cmd: &str) -> Vec<f64> {
        let messages = self.messages(page).into_iter();
        let such = messages.filter(|m| m.sent && m.body["cmd"] == cmd);
        such.map(|m| m.t).collect()
    }

    /// What the server answered to requests of a page's scripts whose address ends so.
    pub(super) fn answered(&mut self, page: &str, method: &str, end: &str) -> Vec<Value> {
        let lines = self.lines(page).into_iter();
        let such = lines.filter(|l| {
            l["method"] == method && l["url"].as_str().is_some_and(|url| url.ends_with(end))
        });
        such.map(|line| line["status"].clone()).collect()
    }

    /// Each line of a page but its first went on after the last event that had been heard, and the page handled each one
    /// once; the numbers after which it did.
    pub(super) async fn went_on(&mut self, page: &str) -> Result<Vec<u64>> {
        let handled = self.finds(page, EVENTS).await?;
        let handled = handled.as_array().context("events")?;
        let (mut heard, mut named, mut lines) = (Vec::new(), Value::Null, Vec::new());
        for Message { sent, body, .. } in self.messages(page) {
            if sent && body.get("token").is_some() {
                let last = heard.last().map_or(Value::Null, |e: &Value| e["n"].clone());
                ensure!(
                    body["resume"] == last && body["replaces"] == named,
                    "{page} heard {last} as {named}, and says {body}"
                );
                lines.extend(last.as_u64());
            } else if body["type"] == "welcome" {
                named = body["socket"].clone();
            } else if !sent && body["n"].is_u64() {
                ensure!(
                    (body["type"] == "snapshot") == heard.is_empty(),
                    "{page} hears what it missed, and a snapshot only at first: {body}"
                );
                heard.push(body);
            }
        }
        ensure!(!lines.is_empty(), "{page} was away");
        let named = |event: &Value| (event["n"].as_u64(), event["type"].clone());
        let (heard, handled): (Vec<_>, Vec<_>) = (
            heard.iter().map(named).collect(),
            handled.iter().map(named).collect(),
        );
        ensure!(
            heard.starts_with(&handled),
            "{page} heard {heard:?} and handled {handled:?}"
        );
        let numbers: Vec<u64> = handled.iter().filter_map(|(n, _)| *n).collect();
        ensure!(
            numbers.len() > 1 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{page} handled each once: {numbers:?}"
        );
        Ok(lines)
    }

    /// Nothing waits any more, and each of these moments went this way: into the queue so often, and to this end, once.
    pub(super) async fn ended(&mut self, moments: &[(&str, usize, &str)]) -> Result<()> {
        let queue = "/v1/channels/show/queue";
        let answer = self
            .ask(Method::GET, queue, &self.dock, &Value::Null)
            .await?;
        let told = answer.json();
        ensure!(
            told["queue"] == json!([]) && told["pending"] == json!([]) && told["paused"] == false,
            "{told}"
        );
        let events = self.finds("dock", EVENTS).await?;
        let events: Vec<Value> = serde_json::from_value(events)?;
        let is_end = |kind: &str| {
            let ends = ["completed", "rejected", "expired", "failed", "cancelled"];
            ends.iter().any(|end| kind == format!("moment.{end}"))
        };
        let mut ids = Vec::new();
        for &(prompt, queued, end) in moments {
            let of = events.iter().filter(|e| e["data"]["prompt"] == prompt);
            let of: Vec<_> = of.collect();
            let kinds: Vec<_> = of.iter().filter_map(|e| e["type"].as_str()).collect();
            let id = of.first().context(prompt.to_owned())?["data"]["id"].clone();
            ensure!(of.iter().all(|e| e["data"]["id"] == id), "{prompt}: one");
            let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
            let ends = kinds.iter().filter(|kind| is_end(kind)).count();
            ensure!(
                count("moment.pending") == 1 && count("moment.queued") == queued && ends == 1,
                "{prompt}: {kinds:?}"
            );
            let path = format!("/v1/moments/{}", id.as_str().context("an id")?);
            let answer = self
                .ask(Method::GET, &path, &self.dock, &Value::Null)
                .await?;
            ensure!(answer.json()["state"] == end, "{prompt}: {answer:?}");
            ids.push(id);
        }
        let all = events.iter().filter(|e| e["type"] == "moment.submitted");
        ensure!(all.count() == ids.len(), "no other moment: {ids:?}");
        Ok(())
    }
}
