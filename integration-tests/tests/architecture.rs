//! The walls of the house: which crate may know which, and where a name may appear.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate, and the crates of this workspace that it may depend on.
const MAY_KNOW: [(&str, &[&str]); 6] = [
    ("reverie-config", &[]),
    ("reverie-transcoder", &["reverie-config"]),
    (
        "reverie-diffusion",
        &["reverie-config", "reverie-transcoder"],
    ),
    ("reverie-moments", &["reverie-config"]),
    (
        "reverie-sfu",
        &[
            "reverie-config",
            "reverie-transcoder",
            "reverie-moments",
            "reverie-diffusion",
        ],
    ),
    (
        "reverie-integration-tests",
        &["reverie-config", "reverie-sfu", "reverie-transcoder"],
    ),
];

/// Word, and the only places where it may stand in source code.
const ONLY_IN: [(&str, &[&str]); 21] = [
    ("tch", &["diffusion/"]),
    ("openh264", &["transcoder/"]),
    ("openh264_sys2", &["transcoder/"]),
    ("rtp", &["transcoder/"]),
    (
        "str0m",
        &[
            "sfu/src/engine/",
            "sfu/tests/engine/",
            "sfu/benches/",
            "integration-tests/src/camera.rs",
        ],
    ),
    (
        "axum",
        &["sfu/src/http/", "integration-tests/src/twitch_sim/"],
    ),
    ("hyper", &["sfu/src/http/", "integration-tests/"]),
    ("prometheus", &["sfu/src/metrics.rs"]),
    ("mio", &["sfu/src/shard/"]),
    ("jsonwebtoken", &["sfu/src/auth/", "sfu/src/twitch/"]),
    ("argon2", &["sfu/src/auth/password.rs"]),
    (
        "sqlx",
        &[
            "moments/src/store/",
            "moments/tests/store/",
            "integration-tests/tests/it/kills/",
        ],
    ),
    ("rustls", &["sfu/src/tls/", "integration-tests/"]),
    ("tokio_rustls", &["sfu/src/tls/", "integration-tests/"]),
    ("rcgen", &["sfu/src/tls/", "sfu/tests/command.rs"]),
    ("openssl", &["sfu/src/engine/dtls.rs"]),
    (
        "png",
        &[
            "diffusion/src/processors/",
            "diffusion/src/still.rs",
            "integration-tests/",
        ],
    ),
    ("zune_jpeg", &["diffusion/src/still.rs"]),
    ("hf_hub", &["sfu/src/models/"]),
    (
        "reqwest",
        &[
            "sfu/src/models/",
            "sfu/src/auth/oauth.rs",
            "sfu/src/twitch/",
        ],
    ),
    ("indicatif", &["sfu/src/models/"]),
];

/// Places that are pure: no runtime, no thread, no clock; and one among them that is not.
const PURE: [&str; 11] = [
    "sfu/src/engine/",
    "sfu/src/channel/director.rs",
    "sfu/src/channel/style.rs",
    "sfu/src/channel/board.rs",
    "sfu/src/channel/settings.rs",
    "sfu/src/channel/keeper/holding.rs",
    "diffusion/src/board.rs",
    "diffusion/src/params/",
    "diffusion/src/status.rs",
    "moments/src/",
    "config/src/",
];
const NOT_PURE: &str = "moments/src/store/";
const IMPURE: [&str; 6] = [
    "tokio",
    "async fn",
    ".await",
    "Instant::now()",
    "SystemTime::now()",
    "std::thread",
];

/// The only file with `unsafe`.
const UNSAFE: [&str; 3] = [
    "diffusion/src/device.rs",
    "diffusion/src/graph.rs",
    "transcoder/src/encode/options.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Path from the root and text of every Rust file, without its tests and comments.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in [
        "config",
        "transcoder",
        "moments",
        "diffusion",
        "sfu",
        "integration-tests",
    ] {
        walk(&root().join(folder), &mut found);
    }
    assert!(
        found.len() > 60,
        "the walk found only {} files",
        found.len()
    );
    found
}

fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs")
            && !path.ends_with("tests/architecture.rs")
            && !path.ends_with("tests.rs")
        {
            let text = fs::read_to_string(&path).expect("a readable source");
            let name = path
                .strip_prefix(root())
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            found.insert(name, code_of(&text));
        }
    }
}

fn code_of(text: &str) -> String {
    let product = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// True if `word` is used as a crate: `word::` or `use word`, and not as part of another path.
fn uses_crate(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + word.len()..];
        let alone = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        alone && after.starts_with("::")
    })
}

#[test]
fn crates_know_only_those_below_them() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let (_, allowed) = MAY_KNOW
            .iter()
            .find(|(n, _)| *n == name)
            .unwrap_or_else(|| panic!("{name} has no place in the order of crates"));
        let known: BTreeSet<_> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|d| d["kind"].is_null())
            .filter_map(|d| d["name"].as_str())
            .filter(|d| d.starts_with("reverie-"))
            .collect();
        for dependency in known {
            assert!(
                allowed.contains(&dependency),
                "{name} may not know {dependency}"
            );
        }
    }
}

#[test]
fn outside_crates_stay_behind_their_walls() {
    for (path, code) in sources() {
        for (word, places) in ONLY_IN {
            let allowed = places.iter().any(|p| path.starts_with(p));
            assert!(
                allowed || !uses_crate(&code, word),
                "{path} uses {word}, which may only be used in {places:?}"
            );
        }
    }
}

#[test]
fn pure_code_has_no_clock_no_thread_and_no_runtime() {
    for (path, code) in sources() {
        if PURE.iter().any(|p| path.starts_with(p)) && !path.starts_with(NOT_PURE) {
            for word in IMPURE {
                assert!(!code.contains(word), "{path} is pure, but has {word}");
            }
        }
    }
}

#[test]
fn the_store_is_told_the_time() {
    for (path, code) in sources() {
        if path.starts_with(NOT_PURE) {
            for word in ["Instant::now()", "SystemTime::now()", "std::thread"] {
                assert!(!code.contains(word), "{path} has {word}");
            }
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_listed() {
    for (path, code) in sources() {
        let allowed = UNSAFE.contains(&path.as_str()) || path.ends_with("architecture.rs");
        assert!(
            allowed || !code.contains("unsafe {") && !code.contains("unsafe fn"),
            "{path} has unsafe code"
        );
    }
}

#[test]
fn the_walls_notice_a_breach() {
    assert!(uses_crate("use str0m::Rtc;", "str0m"));
    assert!(!uses_crate(
        "use super::rtp::x; let my_rtp::y; crate::rtp::z",
        "rtp"
    ));
    assert!(code_of("a // str0m::x\n#[cfg(test)]\nmod tests { b }").trim() == "a");
}
