//! A throw-away cluster of PostgreSQL, from the system's packages, for the tests of one run.
//!
//! The first test that needs it makes it in a temporary folder, on a socket there and no port; the others find it. A
//! shell waits for the run to end, however it ends, and takes it away.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};

/// The folder that Debian's packages have their versions in.
const PACKAGES: &str = "/usr/lib/postgresql";

/// The URL of a new, empty database; with `durable`, in a cluster that writes to the disk before it says that it did.
///
/// # Panics
/// When PostgreSQL is not installed, or does not start: with its own words.
#[must_use]
pub(crate) fn database(durable: bool) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = cluster(durable);
    let name = format!("t{}_{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
    create(&folder, &name)
}

fn create(folder: &Path, name: &str) -> String {
    let mut createdb = Command::new(binaries().join("createdb"));
    run(createdb
        .arg("-h")
        .arg(folder)
        .args(["-U", "postgres", name]));
    format!(
        "postgres://postgres@localhost/{name}?host={}",
        folder.display()
    )
}

/// The folder of the run's cluster, which runs. Under nextest each test is a process, and their parent is the run.
fn cluster(durable: bool) -> PathBuf {
    let nextest = std::env::var_os("NEXTEST").is_some();
    let run = if nextest { parent_id() } else { id() };
    let kind = if durable { "durable" } else { "fast" };
    let folder = std::env::temp_dir().join(format!("reverie-postgres-{kind}-{run}"));
    fs::create_dir_all(&folder).expect("a new folder");
    let lock = File::create(folder.join("lock")).expect("a file for the lock");
    lock.lock().expect("a lock");
    if !folder.join("data/postmaster.pid").exists() {
        start(&folder, run, durable);
    }
    folder
}

fn start(folder: &Path, run_id: u32, durable: bool) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder));
    }
    let data = folder.join("data");
    run(unprivileged("initdb")
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data));
    let fsync = if durable { "on" } else { "off" };
    let options = format!(
        "-c listen_addresses= -c unix_socket_directories={} -c fsync={fsync} -c max_connections=200",
        folder.display()
    );
    run(unprivileged("pg_ctl")
        .args(["start", "--wait", "--silent", "-D"])
        .arg(&data)
        .arg("-l")
        .arg(folder.join("log"))
        .args(["-o", &options]));
    watch(folder, run_id);
}

/// Leaves a shell behind that stops the cluster when the run is over.
#[expect(
    clippy::zombie_processes,
    reason = "it outlives the process that starts it"
)]
fn watch(folder: &Path, run_id: u32) {
    let script = format!(
        "while [ -d /proc/{run_id} ]; do sleep 0.5; done; {}/pg_ctl stop --silent -m immediate -D {folder}/data; \
         rm -rf {folder}",
        binaries().display(),
        folder = folder.display(),
    );
    let mut shell = if is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "sh",
        ]);
        setpriv
    } else {
        Command::new("sh")
    };
    shell
        .args(["-c", &script])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell");
}

/// A program of PostgreSQL, which refuses to run as root.
fn unprivileged(program: &str) -> Command {
    let path = binaries().join(program);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(path);
        command
    } else {
        Command::new(path)
    };
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where the newest installed version has its programs.
fn binaries() -> PathBuf {
    let versions = fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path())
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.parse::<u32>().unwrap_or(0)
        });
    newest
        .expect("PostgreSQL is not installed in /usr/lib/postgresql; scripts/setup installs it")
        .join("bin")
}

fn run(command: &mut Command) {
    // Into a pipe of its own: the server would keep the test's open.
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
