//! What is said over a socket: the client's messages, read and checked, and the server's, written.

use axum::extract::ws::Message;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::problem::Problem;

/// The longest id of a command, in bytes.
const MAX_ID: usize = 64;

/// What a client says.
#[derive(Debug)]
pub(super) enum Said {
    Hello(Hello),
    Command(Command),
}

/// The first message; later ones renew the token, ask for events again, or replace another socket.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hello {
    /// For the events, and for commands unless they have another one.
    pub(super) token: Option<String>,
    /// For commands.
    pub(super) control: Option<String>,
    /// Number of the last event that was heard.
    pub(super) resume: Option<u64>,
    /// The client's socket before this one: it ends, and no command from it is carried out any more.
    pub(super) replaces: Option<String>,
}

/// Something to be done; each command reads what it needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub(super) id: Value,
    pub(super) cmd: String,
    pub(super) moment: Option<String>,
    /// Of the moment, or the entity tag of the parameters.
    pub(super) version: Option<Value>,
    pub(super) reason: Option<String>,
    pub(super) position: Option<usize>,
    pub(super) pipeline: Option<String>,
    pub(super) params: Option<Value>,
}

/// Reads a message. What cannot be read is told in words, under its id if it has one.
pub(super) fn read(text: &str) -> Result<Said, (Value, String)> {
    let unreadable = |id, error: serde_json::Error| (id, error.to_string());
    let value: Value =
        serde_json::from_str(text).map_err(|error| unreadable(Value::Null, error))?;
    // Fields may be named in an array as well, as far as serde cares.
    if !value.is_object() {
        return Err((Value::Null, "a message is a JSON object".to_owned()));
    }
    if value.get("cmd").is_none() && value.get("id").is_none() {
        let hello = serde_json::from_value(value);
        return hello
            .map(Said::Hello)
            .map_err(|error| unreadable(Value::Null, error));
    }
    let id = value.get("id").filter(|id| is_id(id)).cloned();
    let Some(id) = id else {
        let why = format!("id is a number or a text of 1 to {MAX_ID} bytes");
        return Err((Value::Null, why));
    };
    let command = serde_json::from_value(value);
    command
        .map(Said::Command)
        .map_err(|error| unreadable(id, error))
}

fn is_id(id: &Value) -> bool {
    id.is_u64()
        || id
            .as_str()
            .is_some_and(|id| (1..=MAX_ID).contains(&id.len()))
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) id: Value,
    /// What the route answered, or the problem.
    pub(super) outcome: Result<Value, Value>,
    /// Of what the command was about, as it is now; null where that has none.
    pub(super) version: Value,
    /// Whether the client saw something that is not so any more.
    pub(super) stale: bool,
}

impl Answer {
    pub(super) fn refused(id: Value, problem: &Problem) -> Self {
        Self {
            id,
            outcome: Err(problem.told()),
            version: Value::Null,
            stale: false,
        }
    }

    /// As it is sent.
    pub(super) fn message(&self, snapshot: Option<Value>) -> Message {
        let Self { id, version, .. } = self;
        let mut told = match &self.outcome {
            Ok(data) => json!({ "id": id, "ok": true, "version": version, "data": data }),
            Err(error) => json!({ "id": id, "error": error, "version": version }),
        };
        if let Some(snapshot) = snapshot {
            told["snapshot"] = snapshot;
        }
        Message::text(told.to_string())
    }
}

/// The first message of the server: what this socket is called, for the one that comes after it.
pub(super) fn welcome(socket: &str) -> Message {
    Message::text(json!({ "type": "welcome", "socket": socket }).to_string())
}

/// A sign of life that a script can see: frames of the protocol are hidden from it.
pub(super) fn ping(at: i64) -> Message {
    Message::text(json!({ "type": "ping", "at": at }).to_string())
}

/// Said before the server stops; it is no event of the channel and repeats the number of the last one.
pub(super) fn draining(n: u64, at: i64) -> Message {
    let event = json!({ "n": n, "at": at, "type": "node.draining", "version": 0, "data": {} });
    Message::text(event.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Value {
        let (id, why) = read(text).expect_err(text);
        assert_ne!(why, "", "{text}");
        id
    }

    #[test]
    fn what_cannot_be_read_is_refused_under_its_id() {
        let long = json!({ "id": "x".repeat(MAX_ID + 1), "cmd": "ping" }).to_string();
        for nobodys in [
            "{",
            "[]",
            "7",
            r#"{"resume": "x"}"#,
            r#"{"resum": 3}"#,
            r#"{"cmd": "ping"}"#,
            &long,
        ] {
            assert_eq!(refused(nobodys), Value::Null, "{nobodys}");
        }
        assert_eq!(refused(r#"{"id": "a"}"#), "a");
        assert_eq!(refused(r#"{"id": "a", "cmd": "ping", "x": 1}"#), "a");
    }

    #[test]
    fn a_hello_may_be_empty_and_an_id_may_be_a_number() {
        let Ok(Said::Hello(hello)) = read("{}") else {
            panic!("an empty hello")
        };
        assert_eq!((hello.resume, hello.token), (None, None));
        let Ok(Said::Command(command)) = read(r#"{"id": 7, "cmd": "ping"}"#) else {
            panic!("a command")
        };
        assert_eq!((command.id, command.cmd.as_str()), (json!(7), "ping"));
    }
}
