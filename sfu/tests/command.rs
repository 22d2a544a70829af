//! The `reverie` command as a user runs it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn reverie(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reverie"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied());
    command
}

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    reverie(arguments, variables)
        .output()
        .expect("the binary runs")
}

const FREE: [(&str, &str); 4] = [
    ("REVERIE__DATA_DIR", env!("CARGO_TARGET_TMPDIR")),
    ("REVERIE__HTTP__LISTEN", "127.0.0.1:0"),
    ("REVERIE__METRICS__LISTEN", "127.0.0.1:0"),
    ("REVERIE__MEDIA__LISTEN", "127.0.0.1:0"),
];

/// Starts a server and waits for its ready line.
fn serve() -> (Child, String) {
    let mut child = reverie(&["serve", "--print-ready"], &FREE)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    (child, line)
}

fn ends(child: &mut Child, within: Duration) -> Option<i32> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        std::thread::yield_now();
    }
    child.kill().expect("a child");
    None
}

#[test]
fn a_terminated_server_closes_everything_and_exits_with_zero() {
    let (mut child, ready) = serve();
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("the ready line is JSON");
    assert_eq!(ready["ready"], true);
    assert!(
        ready["http"].as_str().is_some_and(|a| !a.ends_with(":0")),
        "{ready}"
    );
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    assert_eq!(ends(&mut child, Duration::from_secs(15)), Some(0));
}

#[test]
fn a_store_that_cannot_be_opened_is_told_with_its_key() {
    let unmade = ("REVERIE__DATA_DIR", "/dev/null/below");
    let nobody = (
        "REVERIE__STORE__URL",
        "postgres://reverie:a-long-password@127.0.0.1:1/reverie",
    );
    for (wrong, key) in [(unmade, "`data_dir`"), (nobody, "`store.url`")] {
        let mut variables = FREE.to_vec();
        variables.retain(|(name, _)| *name != wrong.0);
        variables.push(wrong);
        let refused = output(&["serve"], &variables);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            said.contains(key) && !said.contains("a-long-password"),
            "{said}"
        );
    }
}

#[test]
fn an_open_address_without_credentials_is_refused_with_the_keys_to_set() {
    let refused = output(&["serve"], &[("REVERIE__HTTP__LISTEN", "0.0.0.0:8080")]);
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stderr);
    for key in [
        "auth.publish_token",
        "auth.control_token",
        "auth.watch_token",
    ] {
        assert!(said.contains(key), "{key} is missing in: {said}");
    }
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once() {
    let refused = output(
        &["config", "check"],
        &[
            ("REVERIE__MEDIA__SHARDS", "many"),
            ("REVERIE__HTTP__PORT", "1"),
            ("REVERIE__LOG__FORMAT", "xml"),
        ],
    );
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stderr);
    for origin in [
        "REVERIE__MEDIA__SHARDS",
        "REVERIE__HTTP__PORT",
        "REVERIE__LOG__FORMAT",
    ] {
        assert!(said.contains(origin), "{origin} is missing in: {said}");
    }
}

#[test]
fn what_only_this_build_knows_is_checked_too() {
    let refused = output(
        &["config", "check"],
        &[
            ("REVERIE__LOG__LEVEL", "info,,=what"),
            ("REVERIE__PIPELINE__DEFAULT", "no-such"),
        ],
    );
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("log.level") && said.contains("debug-invert"),
        "{said}"
    );
    let good = output(&["config", "check"], &[]);
    assert_eq!(good.status.code(), Some(0));
}

#[test]
fn the_configuration_in_force_is_printed_without_secrets() {
    let printed = output(
        &["config", "print"],
        &[("REVERIE__AUTH__CONTROL_TOKEN", "0123456789abcdef-secret")],
    );
    assert!(printed.status.success());
    let text = String::from_utf8_lossy(&printed.stdout);
    assert!(
        text.contains("control_token = \"***\"") && !text.contains("0123456789abcdef"),
        "{text}"
    );
}

#[test]
fn an_address_in_use_names_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let refused = output(&["serve"], &[("REVERIE__HTTP__LISTEN", &address)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("http.listen"));
}

#[test]
fn a_filter_that_cannot_be_read_names_its_key() {
    let refused = output(&["serve"], &[("REVERIE__LOG__LEVEL", "info,,=what")]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("log.level"));
}

#[test]
fn a_token_without_a_key_to_sign_it_is_refused_with_the_key_to_set() {
    let refused = output(&["token", "publish", "--channel", "show"], &[]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(refused.stdout.is_empty(), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("auth.token_key") && said.contains("REVERIE__AUTH__TOKEN_KEY"),
        "{said}"
    );
}

/// Writes `cert.pem` and `key.pem`, good from and until so many days from now.
fn certificate(folder: &Path, from: i64, until: i64) -> [(&'static str, String); 2] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(from);
    params.not_after = now + time::Duration::days(until);
    let cert = params.self_signed(&key).expect("signed").pem();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    [
        ("REVERIE__HTTP__TLS__CERT", write("cert.pem", cert)),
        (
            "REVERIE__HTTP__TLS__KEY",
            write("key.pem", key.serialize_pem()),
        ),
    ]
}

#[test]
fn a_certificate_out_of_its_time_is_served_with_a_warning() {
    for (from, until, warning) in [
        (-9, -2, Some("has expired")),
        (2, 9, Some("is not valid yet")),
        (-2, 9, None),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let pair = certificate(folder.path(), from, until);
        let variables = FREE
            .iter()
            .copied()
            .chain(pair.iter().map(|(name, path)| (*name, path.as_str())));
        let mut child = reverie(&["serve"], &variables.collect::<Vec<_>>())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let said: Vec<String> = log
            .map(|line| line.expect("UTF-8"))
            .take_while(|line| !line.contains(" ready: "))
            .collect();
        child.kill().expect("it runs");
        child.wait().expect("a child");
        let warned: Vec<_> = said.iter().filter(|line| line.contains(" WARN ")).collect();
        assert_eq!(warned.len(), usize::from(warning.is_some()), "{said:?}");
        if let Some(word) = warning {
            assert!(
                warned[0].contains(word) && warned[0].contains("http.tls.cert"),
                "{warned:?}"
            );
        }
    }
}

#[test]
fn make_run_knows_self_signed_certificates_and_nothing_else() {
    let make = |tls: &str| {
        Command::new("make")
            .args(["--dry-run", "run", tls])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("MAKEFLAGS")
            .output()
            .expect("make runs")
    };
    let plan = |tls| {
        let output = make(tls);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let secure = plan("TLS=self-signed");
    assert!(
        secure.contains("cargo build --release -p reverie-sfu --bin reverie")
            && secure.contains("scripts/run-tls target/release/reverie"),
        "{secure}"
    );
    let plain = plan("TLS=");
    assert!(
        plain.contains("cargo run --release -p reverie-sfu --bin reverie -- serve")
            && !plain.contains("run-tls"),
        "{plain}"
    );
    assert!(!make("TLS=letsencrypt").status.success());
}
