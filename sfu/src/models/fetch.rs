//! A model from a hub into its folder, whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::download::{begun, download};
use super::hub::{Hub, Remote};
use super::pick;
use super::{Id, Problem};

pub(crate) use super::hub::Access;
pub(crate) use super::pick::Variant;

/// Where unfinished models are, in the folder of models.
const UNFINISHED: &str = ".fetch";

/// What to fetch, and where to.
pub(crate) struct Order {
    pub(crate) id: Id,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
    pub(crate) variant: Variant,
    /// These files instead of those that a model usually needs, if any.
    pub(crate) files: Vec<String>,
    /// The folder of all models.
    pub(crate) models: PathBuf,
    /// Take the place of what is there.
    pub(crate) replace: bool,
    pub(crate) access: Access,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was there already.
    Unchanged,
    /// It is there now; of so many files the hub told no checksum.
    Fetched { bytes: u64, unchecked: usize },
}

/// Fetches a model. `say` gets a line for each file; a bar is shown on a terminal.
///
/// Until it is whole it is in a hidden folder, where another run goes on.
pub(crate) async fn fetch(order: &Order, say: impl Fn(&str)) -> Result<Outcome, Problem> {
    let target = order.id.folder(&order.models);
    let hub = Hub::new(&order.access, &order.id, &order.revision, &target)?;
    let wanted = plan(&hub, order).await?;
    let differs = difference(&target, &wanted)?;
    if target.exists() {
        let Some(file) = differs else {
            return Ok(Outcome::Unchanged);
        };
        if !order.replace {
            return Err(Problem::Differs { path: target, file });
        }
    }
    let place = Place::take(order)?;
    let bytes = bring(&hub, &wanted, &place.folder, &say).await?;
    place.keep_only(&wanted)?;
    place.move_to(&target)?;
    let unchecked = wanted.iter().filter(|file| file.checksum.is_none()).count();
    Ok(Outcome::Fetched { bytes, unchecked })
}

/// The files to be had, with size and checksum.
async fn plan(hub: &Hub, order: &Order) -> Result<Vec<Remote>, Problem> {
    let refuse = |reason| Problem::Files {
        id: order.id.clone(),
        reason,
    };
    let all = hub.files().await?;
    let picked = if order.files.is_empty() {
        pick::files(&all, order.variant)
    } else {
        pick::named(&all, &order.files)
    };
    let mut wanted = picked.map_err(refuse)?;
    for file in &mut wanted {
        if !stays_inside(&file.name) {
            return Err(refuse(format!("the hub names a file {:?}", file.name)));
        }
        hub.complete(file).await?;
    }
    Ok(wanted)
}

async fn bring(
    hub: &Hub,
    wanted: &[Remote],
    folder: &Path,
    say: impl Fn(&str),
) -> Result<u64, Problem> {
    let total = wanted.iter().filter_map(|file| file.size).sum();
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    );
    bar.set_style(style.expect("a template of known keys"));
    for file in wanted {
        let path = folder.join(&file.name);
        if path.is_file() {
            bar.inc(file.size.unwrap_or_default());
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Problem::file(parent))?;
        let begun = begun(&path);
        bar.inc(begun);
        bar.set_message(file.name.clone());
        bar.suspend(|| say(&line(file, begun)));
        download(hub, file, &path, &bar).await?;
    }
    bar.finish_and_clear();
    Ok(total)
}

fn line(file: &Remote, begun: u64) -> String {
    let size = file.size.map(|size| format!(" {}", Bytes(size)));
    let rest = (begun > 0).then(|| format!(", going on after {}", Bytes(begun)));
    format!(
        "{}{}{}",
        file.name,
        size.unwrap_or_default(),
        rest.unwrap_or_default()
    )
}

/// The first of the wanted files that `folder` has not, or with other contents.
fn difference(folder: &Path, wanted: &[Remote]) -> Result<Option<String>, Problem> {
    for file in wanted {
        let path = folder.join(&file.name);
        let same = match fs::metadata(&path) {
            Ok(data) if file.size.is_none_or(|size| size == data.len()) => match &file.checksum {
                Some(sum) => sum.mismatch(&path).map_err(Problem::file(&path))?.is_none(),
                None => true,
            },
            _ => false,
        };
        if !same {
            return Ok(Some(file.name.clone()));
        }
    }
    Ok(None)
}

/// The folder in which a model becomes whole, and the right to write there.
struct Place {
    folder: PathBuf,
    /// Where what it takes the place of waits to be removed.
    former: PathBuf,
    _lock: File,
}

impl Place {
    fn take(order: &Order) -> Result<Self, Problem> {
        let unfinished = order.models.join(UNFINISHED);
        let word = order.id.word();
        let (folder, former) = (
            unfinished.join(&word),
            unfinished.join(format!("{word}.former")),
        );
        fs::create_dir_all(&folder).map_err(Problem::file(&folder))?;
        let path = unfinished.join(format!("{word}.lock"));
        let lock = File::create(&path).map_err(Problem::file(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder,
                former,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Problem::Running {
                id: order.id.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(Problem::file(&path)(error)),
        }
    }

    /// Removes what another form or revision left.
    fn keep_only(&self, wanted: &[Remote]) -> Result<(), Problem> {
        let wanted: BTreeSet<_> = wanted
            .iter()
            .map(|file| self.folder.join(&file.name))
            .collect();
        remove_others(&self.folder, &wanted).map_err(Problem::file(&self.folder))
    }

    /// Makes the folder the model's; what was there is removed after that.
    fn move_to(self, target: &Path) -> Result<(), Problem> {
        let parent = target.parent().unwrap_or(target);
        fs::create_dir_all(parent).map_err(Problem::file(parent))?;
        // An earlier run may have ended here.
        remove(&self.former)?;
        if target.exists() {
            fs::rename(target, &self.former).map_err(Problem::file(target))?;
        }
        fs::rename(&self.folder, target).map_err(Problem::file(target))?;
        remove(&self.former)
    }
}

fn remove(folder: &Path) -> Result<(), Problem> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Problem::file(folder))?;
    }
    Ok(())
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// True if a file's name leads nowhere else.
fn stays_inside(name: &str) -> bool {
    let plain = |part| matches!(part, Component::Normal(_));
    !name.is_empty() && !name.contains('\\') && Path::new(name).components().all(plain)
}

/// A number of bytes for people.
pub(crate) struct Bytes(pub(crate) u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = ["kB", "MB", "GB", "TB"];
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = 0;
        while value >= 999.95 && unit + 1 < units.len() {
            value /= 1000.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", units[unit])
    }
}
