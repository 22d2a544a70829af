//! File and environment into a configuration, or every problem with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Config;
use crate::environment::{self, Environment, PREFIX, variable};
use crate::error::{Errors, Origin, Problem};
use crate::kind::Kind;
use crate::raw::{Raw, Written};
use crate::visit::{self, Visitor};
use crate::{file, rules, suggest};

/// Reads the file, if one is named, then the environment over it. Reading the file blocks.
///
/// # Errors
/// Every problem at once: a file that cannot be read or is not TOML, unknown keys and variables, values of the
/// wrong type or outside their range, and keys that contradict each other.
pub fn load(path: Option<&Path>, env: &impl Environment) -> Result<Config, Errors> {
    let mut sources = Sources::new();
    if let Some(path) = path {
        sources.read_file(path);
    }
    sources.read_environment(env);
    sources.config()
}

/// Like [`load`] with the file's text in hand; `path` is only what problems call it. Touches nothing outside.
///
/// # Errors
/// See [`load`].
pub fn parse(path: &Path, text: &str, env: &impl Environment) -> Result<Config, Errors> {
    let mut sources = Sources::new();
    sources.read_text(path, text);
    sources.read_environment(env);
    sources.config()
}

/// What was decided about the keys, for the rules between them.
pub(crate) struct Settled {
    origins: BTreeMap<&'static str, Origin>,
    wrong: BTreeSet<&'static str>,
}

impl Settled {
    /// Where the key's value comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Whether the key was set to something that has been refused, so that its value means nothing.
    pub(crate) fn is_wrong(&self, key: &str) -> bool {
        self.wrong.contains(key)
    }
}

struct Sources {
    known: Vec<&'static str>,
    written: BTreeMap<String, Vec<Written>>,
    problems: Vec<Problem>,
    readable: bool,
}

impl Sources {
    fn new() -> Self {
        Self {
            known: visit::names(),
            written: BTreeMap::new(),
            problems: Vec::new(),
            readable: true,
        }
    }

    fn read_file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.read_text(path, &text),
            Err(error) => {
                self.readable = false;
                self.problems.push(unreadable(path, &error));
            }
        }
    }

    fn read_text(&mut self, path: &Path, text: &str) {
        match file::parse(path, text, &self.known) {
            Ok(keys) => keys
                .into_iter()
                .for_each(|(key, written)| self.take(key, written)),
            Err(problems) => {
                self.readable = false;
                self.problems.extend(problems);
            }
        }
    }

    fn read_environment(&mut self, env: &impl Environment) {
        for (name, value) in env.vars() {
            if !name.starts_with(PREFIX) {
                continue;
            }
            let key = environment::key(&name);
            let written = Written {
                origin: Origin::Variable(name),
                raw: Raw::Variable(value),
            };
            self.take(key, written);
        }
    }

    fn take(&mut self, key: String, written: Written) {
        let refused = match &written.origin {
            Origin::Variable(name) => self.refuse_variable(&key, name),
            _ => self.refuse_key(&key),
        };
        match refused {
            Some(message) => {
                let problem = Problem::of_key(key, written.origin, message);
                self.problems.push(problem);
            }
            None => self.written.entry(key).or_default().push(written),
        }
    }

    /// A name in another case is no variable of ours: systems that tell cases apart could hold both.
    fn refuse_variable(&self, key: &str, name: &str) -> Option<String> {
        let near = suggest::closest(key, self.known.iter().copied()).map(variable);
        let known = near.as_deref() == Some(name);
        (!known).then(|| meant("is not a variable of Reverie", near.as_deref()))
    }

    fn refuse_key(&self, key: &str) -> Option<String> {
        if self.known.contains(&key) {
            return None;
        }
        let inside = format!("{key}.");
        if self.known.iter().any(|known| known.starts_with(&inside)) {
            return Some("is a section, not a key".to_owned());
        }
        let near = suggest::closest(key, self.known.iter().copied());
        Some(meant("is not a key of Reverie", near))
    }

    fn config(self) -> Result<Config, Errors> {
        let mut config = Config::default();
        let mut reader = Reader {
            written: self.written,
            problems: self.problems,
            settled: Settled {
                origins: BTreeMap::new(),
                wrong: BTreeSet::new(),
            },
        };
        config.visit(&mut reader);
        // Without its file a configuration is not the one that was meant, and what contradicts in it says nothing.
        if self.readable {
            rules::check(&config, &reader.settled, &mut reader.problems);
        }
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(Errors::new(reader.problems))
        }
    }
}

/// Sets every key to what was written last, and remembers what could not be read, overlaid or not.
struct Reader {
    written: BTreeMap<String, Vec<Written>>,
    problems: Vec<Problem>,
    settled: Settled,
}

impl Visitor for Reader {
    fn key<T>(&mut self, key: &'static str, value: &mut T, kind: impl Kind<T>) {
        for Written { origin, raw } in self.written.remove(key).unwrap_or_default() {
            match kind.read(&raw) {
                Ok(read) => {
                    *value = read;
                    self.settled.origins.insert(key, origin);
                }
                Err(found) => {
                    let message = format!("expected {}, but found {found}", kind.expected());
                    self.problems.push(Problem::of_key(key, origin, message));
                    self.settled.wrong.insert(key);
                }
            }
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let origin = Origin::File {
        path: path.to_owned(),
        line: None,
    };
    Problem::of_file(origin, format!("cannot be read: {error}"))
}

fn meant(message: &str, near: Option<&str>) -> String {
    near.map_or_else(
        || message.to_owned(),
        |near| format!("{message}; did you mean `{near}`?"),
    )
}
