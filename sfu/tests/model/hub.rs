//! A hub of models on the loopback: the list of files, redirections of large files to a second address, entity tags
//! and ranges, as the one on the Internet has them, and its bad days.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use serde_json::{Value, json};

/// Files from this size on are elsewhere, and named by SHA-256.
const LARGE: usize = 2_000;

/// How the hub behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manners {
    /// Answers 401 to whoever has not this token.
    pub(crate) token: Option<String>,
    /// The list has names only, so that sizes and checksums are in headers.
    pub(crate) bare_list: bool,
    /// Ranges are ignored, and the whole file comes.
    pub(crate) no_ranges: bool,
    /// Breaks the connection off after so many bytes of a large file, so many times.
    pub(crate) cut: Option<(usize, usize)>,
    /// Stops after so many bytes of a large file without closing.
    pub(crate) stall: Option<usize>,
    /// Flips a bit in large files.
    pub(crate) spoilt: bool,
    /// So many requests for large files are answered with 503.
    pub(crate) busy: usize,
}

/// What somebody asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    manners: Manners,
    asked: Vec<Asked>,
    stalled: Sender<()>,
}

/// A running hub with one model, `owner/model`.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
    stalled: Receiver<()>,
}

impl Hub {
    pub(crate) fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (front, store) = (bind(), bind());
        let url = |listener: &TcpListener| {
            let address = listener.local_addr().expect("bound");
            format!("http://{address}")
        };
        let (endpoint, elsewhere) = (url(&front), url(&store));
        let (sender, stalled) = channel();
        let owned = |(name, bytes): &(&str, Vec<u8>)| ((*name).to_owned(), bytes.clone());
        let state = Arc::new(Mutex::new(State {
            files: files.iter().map(owned).collect(),
            manners: Manners::default(),
            asked: Vec::new(),
            stalled: sender,
        }));
        for listener in [front, store] {
            let (state, elsewhere) = (Arc::clone(&state), elsewhere.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, elsewhere) = (Arc::clone(&state), elsewhere.clone());
                    // A client that is gone is no fault of the hub's.
                    thread::spawn(move || drop(answer(stream, &state, &elsewhere)));
                }
            });
        }
        Self {
            endpoint,
            state,
            stalled,
        }
    }

    pub(crate) fn behave(&self, manners: Manners) {
        self.state.lock().expect("no panic").manners = manners;
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock().expect("no panic");
        state.files.insert(name.to_owned(), bytes);
    }

    /// What was asked for since the last time, of paths with `part` in them.
    pub(crate) fn asked(&self, part: &str) -> Vec<Asked> {
        let asked = std::mem::take(&mut self.state.lock().expect("no panic").asked);
        asked
            .into_iter()
            .filter(|asked| asked.path.contains(part))
            .collect()
    }

    /// Waits until it stalls.
    pub(crate) fn wait_for_stall(&self) {
        let patience = std::time::Duration::from_secs(20);
        self.stalled.recv_timeout(patience).expect("it stalls");
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, elsewhere: &str) -> std::io::Result<()> {
    let asked = read(&stream)?;
    let (files, manners) = {
        let mut state = state.lock().expect("no panic");
        state.asked.push(asked.clone());
        (state.files.clone(), state.manners.clone())
    };
    let path = asked.path.split('?').next().unwrap_or_default().to_owned();
    if let Some(hash) = path.strip_prefix("/store/") {
        let bytes = files.values().find(|bytes| sha256(bytes) == hash);
        return match bytes {
            Some(bytes) => send_large(stream, state, &asked, bytes.clone()),
            None => head(&mut stream, "404 Not Found", &[], 0),
        };
    }
    let expected = manners.token.map(|token| format!("Bearer {token}"));
    if expected.is_some() && asked.authorization != expected {
        return head(&mut stream, "401 Unauthorized", &[], 0);
    }
    if path == "/api/models/owner/model/revision/main" {
        let list = list(&files, manners.bare_list).to_string();
        head(
            &mut stream,
            "200 OK",
            &[("Content-Type", "application/json")],
            list.len(),
        )?;
        return stream.write_all(list.as_bytes());
    }
    let file = path
        .strip_prefix("/owner/model/resolve/main/")
        .and_then(|name| files.get(name));
    match file {
        Some(bytes) if bytes.len() >= LARGE => redirect(&mut stream, elsewhere, bytes),
        Some(bytes) => send(stream, &asked, bytes, &git_blob(bytes), manners.no_ranges),
        None => head(&mut stream, "404 Not Found", &[], 0),
    }
}

fn redirect(stream: &mut TcpStream, elsewhere: &str, bytes: &[u8]) -> std::io::Result<()> {
    let hash = sha256(bytes);
    let headers = [
        (
            "Location",
            format!("{elsewhere}/store/{hash}?signature=s3cret"),
        ),
        ("X-Linked-ETag", format!("\"{hash}\"")),
        ("X-Linked-Size", bytes.len().to_string()),
        ("X-Repo-Commit", "0".repeat(40)),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    head(stream, "302 Found", &headers, 0)
}

fn send_large(
    mut stream: TcpStream,
    state: &Mutex<State>,
    asked: &Asked,
    mut bytes: Vec<u8>,
) -> std::io::Result<()> {
    let mut locked = state.lock().expect("no panic");
    let manners = locked.manners.clone();
    if manners.busy > 0 {
        locked.manners.busy -= 1;
        drop(locked);
        return head(&mut stream, "503 Service Unavailable", &[], 0);
    }
    let mut limit = None;
    if let Some((after, times)) = manners.cut.filter(|(_, times)| *times > 0) {
        locked.manners.cut = Some((after, times - 1));
        limit = Some(after);
    }
    let stalled = locked.stalled.clone();
    drop(locked);
    if manners.spoilt {
        bytes[LARGE / 2] ^= 1;
    }
    let (begin, part) = part(asked, &bytes, manners.no_ranges);
    begin_part(
        &mut stream,
        begin,
        part.len(),
        bytes.len(),
        "\"of-the-store\"",
    )?;
    let limit = limit
        .or(manners.stall)
        .unwrap_or(part.len())
        .min(part.len());
    stream.write_all(&part[..limit])?;
    stream.flush()?;
    if manners.stall.is_some() && limit < part.len() {
        // Whoever waits is told, and the connection stays until the client's end of it closes.
        let _ = stalled.send(());
        let mut rest = String::new();
        BufReader::new(stream).read_line(&mut rest)?;
    }
    Ok(())
}

fn send(
    mut stream: TcpStream,
    asked: &Asked,
    bytes: &[u8],
    tag: &str,
    no_ranges: bool,
) -> std::io::Result<()> {
    let (begin, part) = part(asked, bytes, no_ranges);
    begin_part(
        &mut stream,
        begin,
        part.len(),
        bytes.len(),
        &format!("\"{tag}\""),
    )?;
    stream.write_all(part)
}

/// The bytes that were asked for, and where they begin if it is a range.
fn part<'a>(asked: &Asked, bytes: &'a [u8], no_ranges: bool) -> (Option<usize>, &'a [u8]) {
    let range = asked.range.as_deref().filter(|_| !no_ranges);
    let Some((begin, end)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return (None, bytes);
    };
    let begin: usize = begin.parse().expect("a number");
    let end = end.parse().map_or(bytes.len(), |end: usize| end + 1);
    (Some(begin), &bytes[begin..end.min(bytes.len())])
}

fn begin_part(
    stream: &mut TcpStream,
    begin: Option<usize>,
    length: usize,
    whole: usize,
    tag: &str,
) -> std::io::Result<()> {
    let Some(begin) = begin else {
        return head(stream, "200 OK", &[("ETag", tag)], length);
    };
    let range = format!("bytes {begin}-{}/{whole}", begin + length - 1);
    let headers = [("ETag", tag), ("Content-Range", &*range)];
    head(stream, "206 Partial Content", &headers, length)
}

fn head(
    stream: &mut TcpStream,
    status: &str,
    headers: &[(&str, &str)],
    length: usize,
) -> std::io::Result<()> {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut asked = Asked::default();
    for (at, line) in BufReader::new(stream).lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if at == 0 {
            asked.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "range" => asked.range = Some(value.to_owned()),
                "authorization" => asked.authorization = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    Ok(asked)
}

fn list(files: &BTreeMap<String, Vec<u8>>, bare: bool) -> Value {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| {
        if bare {
            json!({ "rfilename": name })
        } else if bytes.len() >= LARGE {
            let lfs = json!({ "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 130 });
            json!({ "rfilename": name, "size": bytes.len(), "blobId": "0".repeat(40), "lfs": lfs })
        } else {
            json!({ "rfilename": name, "size": bytes.len(), "blobId": git_blob(bytes) })
        }
    };
    let siblings: Vec<_> = files.iter().map(sibling).collect();
    json!({ "id": "owner/model", "sha": "0".repeat(40), "siblings": siblings })
}

fn sha256(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    hex(context)
}

fn git_blob(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex(context)
}

fn hex(context: Context) -> String {
    context
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
