//! One file from a hub: goes on where it stopped, and is there under its name only when its checksum is right.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use super::Problem;
use super::hub::{Hub, Remote};

/// How often in a row nothing may come.
const ATTEMPTS: u32 = 5;
/// How long is waited after the first time; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(250);

/// Brings `remote` to `path`. What came of it before, here or in an earlier run, is in `path` with `.part`.
pub(super) async fn download(
    hub: &Hub,
    remote: &Remote,
    path: &Path,
    bar: &ProgressBar,
) -> Result<(), Problem> {
    let part = part_of(path);
    let began_earlier = length(&part) > 0;
    let result = whole(hub, remote, &part, bar).await;
    let result = match result {
        // The beginning may be of an older revision of the file.
        Err(Problem::Checksum { .. }) if began_earlier => whole(hub, remote, &part, bar).await,
        other => other,
    };
    result?;
    fs::rename(&part, path).map_err(Problem::file(path))
}

/// The bytes that are there already of a file to be.
pub(super) fn begun(path: &Path) -> u64 {
    length(&part_of(path))
}

/// All of the file, with the right checksum, in `part`.
async fn whole(hub: &Hub, remote: &Remote, part: &Path, bar: &ProgressBar) -> Result<(), Problem> {
    let mut idle = 0;
    loop {
        let before = length(part);
        match rest(hub, remote, part, bar).await {
            Ok(()) => break,
            Err(problem) if is_passing(&problem) => {
                idle = if length(part) > before { 1 } else { idle + 1 };
                if idle >= ATTEMPTS {
                    return Err(problem);
                }
                tokio::time::sleep(PAUSE * (1 << (idle - 1))).await;
            }
            Err(problem) => return Err(problem),
        }
    }
    verify(remote, part, bar)
}

/// What is missing of the file, in one request.
async fn rest(hub: &Hub, remote: &Remote, part: &Path, bar: &ProgressBar) -> Result<(), Problem> {
    let mut have = length(part);
    if remote.size.is_some_and(|size| have > size) {
        drop_part(part, bar)?;
        have = 0;
    }
    if remote.size == Some(have) && have > 0 {
        return Ok(());
    }
    let mut body = hub.open(&remote.name, have).await?;
    if !body.goes_on && have > 0 {
        drop_part(part, bar)?;
        have = 0;
    }
    let mut file = open(part)?;
    while let Some(piece) = body.next().await? {
        let piece = piece.as_ref();
        file.write_all(piece).map_err(Problem::file(part))?;
        have += piece.len() as u64;
        bar.inc(piece.len() as u64);
    }
    file.sync_data().map_err(Problem::file(part))?;
    match remote.size {
        Some(size) if have < size => Err(Problem::Broken {
            url: body.url,
            reason: format!("{have} of {size} bytes came"),
        }),
        _ => Ok(()),
    }
}

fn verify(remote: &Remote, part: &Path, bar: &ProgressBar) -> Result<(), Problem> {
    let have = length(part);
    let wrong = match &remote.checksum {
        Some(expected) => {
            let got = expected.mismatch(part).map_err(Problem::file(part))?;
            got.map(|got| (expected.to_string(), got.to_string()))
        }
        None => remote
            .size
            .filter(|size| *size != have)
            .map(|size| (format!("{size} bytes"), format!("{have} bytes"))),
    };
    let Some((expected, got)) = wrong else {
        return Ok(());
    };
    drop_part(part, bar)?;
    Err(Problem::Checksum {
        file: remote.name.clone(),
        expected,
        got,
    })
}

/// True for what may be over when it is tried again.
const fn is_passing(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::Unreachable { .. } | Problem::Broken { .. } | Problem::Busy { .. }
    )
}

fn open(part: &Path) -> Result<File, Problem> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    options.open(part).map_err(Problem::file(part))
}

fn drop_part(part: &Path, bar: &ProgressBar) -> Result<(), Problem> {
    bar.set_position(bar.position().saturating_sub(length(part)));
    fs::remove_file(part).map_err(Problem::file(part))
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".part");
    name.into()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}
