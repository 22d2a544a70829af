//! `reverie model fetch` on good days and bad ones.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use super::hub::{Hub, Manners};
use super::{done, names, refused, reverie, text};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 31 + seed * 7 + at / 251) as u8)
        .collect()
}

/// A pipeline with more on the hub than is needed here.
fn hub() -> Hub {
    let json = || b"{}".to_vec();
    Hub::start(&[
        ("README.md", b"# A model".to_vec()),
        (
            "model_index.json",
            br#"{"_class_name": "StableDiffusionPipeline"}"#.to_vec(),
        ),
        ("model.ckpt", bytes(9, 4_000)),
        ("scheduler/scheduler_config.json", json()),
        ("text_encoder/config.json", json()),
        ("text_encoder/model.safetensors", bytes(1, 6_000)),
        ("tokenizer/merges.txt", b"#version: 0.2\na b\n".to_vec()),
        ("tokenizer/vocab.json", json()),
        ("unet/config.json", json()),
        (UNET, bytes(2, 300_000)),
        (
            "unet/diffusion_pytorch_model.fp16.safetensors",
            bytes(3, 150_000),
        ),
        ("vae/config.json", json()),
        ("vae/diffusion_pytorch_model.safetensors", bytes(4, 9_000)),
    ])
}

const NEEDED: [&str; 10] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    UNET,
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
];

/// A folder of models and the hub to fill it from.
struct Place {
    hub: Hub,
    models: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let models = tempfile::tempdir().expect("a folder");
        Self { hub: hub(), models }
    }

    fn fetch(&self, more: &[&str]) -> Output {
        self.fetch_as(&[], more)
    }

    fn fetch_as(&self, variables: &[(&str, &str)], more: &[&str]) -> Output {
        let command = self.command(variables, more).output();
        command.expect("the binary runs")
    }

    fn command(&self, variables: &[(&str, &str)], more: &[&str]) -> std::process::Command {
        let models = self.models.path().to_str().expect("text");
        let arguments = [&["model", "fetch", "owner/model", "--dir", models], more].concat();
        let mut command = reverie(&arguments, variables);
        command.env("HF_ENDPOINT", &self.hub.endpoint);
        command
    }

    fn folder(&self) -> PathBuf {
        self.models.path().join("owner/model")
    }

    fn unet(&self) -> Vec<u8> {
        fs::read(self.folder().join(UNET)).expect("weights")
    }
}

#[test]
fn what_a_pipeline_needs_is_fetched_and_nothing_else() {
    let place = Place::new();
    let output = place.fetch(&[]);
    assert!(
        done(&output).contains("owner/model: 315.1 kB"),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).contains("unet/diffusion_pytorch_model.safetensors 300.0 kB"));
    assert_eq!(names(&place.folder()), NEEDED);
    assert_eq!(place.unet(), bytes(2, 300_000));
    let models = place.models.path().to_str().expect("text");
    let listed = reverie(&["model", "list", "--dir", models], &[]).output();
    assert!(done(&listed.expect("the binary runs")).ends_with("complete\n"));
}

#[test]
fn half_precision_is_taken_where_there_is_some() {
    let place = Place::new();
    done(&place.fetch(&["--variant", "fp16"]));
    let names = names(&place.folder());
    assert_eq!(names.len(), NEEDED.len());
    assert!(names.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
    assert!(!names.contains(&UNET.to_owned()));
}

#[test]
fn one_named_file_is_fetched_alone() {
    let place = Place::new();
    done(&place.fetch(&["--file", "text_encoder/model.safetensors"]));
    assert_eq!(names(&place.folder()), ["text_encoder/model.safetensors"]);
    let none = place.fetch(&["--file", "lora.safetensors"]);
    assert!(refused(&none).contains("no file lora.safetensors"));
}

#[test]
fn a_broken_connection_goes_on_where_it_broke_off() {
    let place = Place::new();
    place.hub.behave(Manners {
        cut: Some((100_000, 2)),
        ..Manners::default()
    });
    done(&place.fetch(&["--file", UNET]));
    assert_eq!(place.unet(), bytes(2, 300_000));
    let ranges: Vec<_> = place
        .hub
        .asked("/store/")
        .into_iter()
        .map(|asked| asked.range)
        .collect();
    let from = |at: &str| Some(at.to_owned());
    assert_eq!(ranges, [None, from("bytes=100000-"), from("bytes=200000-")]);
}

#[test]
fn a_fetch_that_was_killed_goes_on_in_the_next_run() {
    let place = Place::new();
    place.hub.behave(Manners {
        stall: Some(120_000),
        ..Manners::default()
    });
    let mut killed = place
        .command(&[], &["--file", UNET])
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    place.hub.wait_for_stall();
    let part = place
        .models
        .path()
        .join(".fetch/owner--model")
        .join(format!("{UNET}.part"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while fs::metadata(&part).map_or(0, |data| data.len()) < 120_000 {
        assert!(
            std::time::Instant::now() < deadline,
            "the bytes do not reach the disk"
        );
        std::thread::yield_now();
    }
    killed.kill().expect("a child");
    killed.wait().expect("a child");
    assert!(!place.folder().exists());
    place.hub.asked("");
    place.hub.behave(Manners::default());
    let output = place.fetch(&["--file", UNET]);
    done(&output);
    assert!(text(&output.stderr).contains("going on after 120.0 kB"));
    assert_eq!(
        place.hub.asked("/store/")[0].range.as_deref(),
        Some("bytes=120000-")
    );
    assert_eq!(place.unet(), bytes(2, 300_000));
}

#[test]
fn a_second_fetch_of_the_same_model_waits_for_nobody() {
    let place = Place::new();
    place.hub.behave(Manners {
        stall: Some(1_000),
        ..Manners::default()
    });
    let mut first = place
        .command(&[], &["--file", UNET])
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    place.hub.wait_for_stall();
    assert!(refused(&place.fetch(&[])).contains("another fetch"));
    first.kill().expect("a child");
    first.wait().expect("a child");
}

#[test]
fn what_an_older_revision_left_is_fetched_anew() {
    let place = Place::new();
    let unfinished = place.models.path().join(".fetch/owner--model");
    fs::create_dir_all(unfinished.join("unet")).expect("a folder");
    fs::write(unfinished.join(format!("{UNET}.part")), bytes(5, 70_000)).expect("a file");
    fs::write(unfinished.join("unet/older.safetensors"), "older").expect("a file");
    done(&place.fetch(&["--file", UNET]));
    assert_eq!(place.unet(), bytes(2, 300_000));
    assert_eq!(names(&place.folder()), [UNET]);
}

#[test]
fn a_hub_without_ranges_gives_the_same_file() {
    let place = Place::new();
    place.hub.behave(Manners {
        no_ranges: true,
        cut: Some((100_000, 1)),
        ..Manners::default()
    });
    done(&place.fetch(&["--file", UNET]));
    assert_eq!(place.unet(), bytes(2, 300_000));
}

#[test]
fn a_busy_hub_is_asked_again() {
    let place = Place::new();
    place.hub.behave(Manners {
        busy: 2,
        ..Manners::default()
    });
    done(&place.fetch(&["--file", UNET]));
    assert_eq!(place.unet(), bytes(2, 300_000));
}

#[test]
fn a_list_without_checksums_is_completed_from_headers() {
    let place = Place::new();
    place.hub.behave(Manners {
        bare_list: true,
        ..Manners::default()
    });
    let output = place.fetch(&[]);
    done(&output);
    assert!(!text(&output.stderr).contains("no checksum"));
    assert_eq!(names(&place.folder()), NEEDED);
    let other = Place::new();
    other.hub.behave(Manners {
        bare_list: true,
        spoilt: true,
        ..Manners::default()
    });
    assert!(refused(&other.fetch(&[])).contains("wrong checksum"));
}

#[test]
fn a_wrong_checksum_leaves_no_model_behind() {
    let place = Place::new();
    place.hub.behave(Manners {
        spoilt: true,
        ..Manners::default()
    });
    let line = refused(&place.fetch(&["--file", UNET]));
    assert!(
        line.contains(UNET) && line.contains("wrong checksum"),
        "{line}"
    );
    assert!(!place.folder().exists());
    // The next good day is not spoilt by it.
    place.hub.behave(Manners::default());
    done(&place.fetch(&["--file", UNET]));
}

#[test]
fn a_token_goes_to_the_hub_and_nowhere_else() {
    let place = Place::new();
    let token = "hf_very-secret-1234";
    place.hub.behave(Manners {
        token: Some(token.to_owned()),
        bare_list: true,
        ..Manners::default()
    });
    let without = refused(&place.fetch(&[]));
    assert!(
        without.contains("401") && without.contains("set HF_TOKEN"),
        "{without}"
    );
    let wrong = refused(&place.fetch_as(&[("HF_TOKEN", "hf_other")], &[]));
    assert!(
        wrong.contains("does not take HF_TOKEN") && !wrong.contains("hf_other"),
        "{wrong}"
    );
    place.hub.asked("");
    let output = place.fetch_as(&[("HF_TOKEN", token)], &[]);
    done(&output);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains(token), "{said}");
    let asked = place.hub.asked("");
    let (store, hub): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .partition(|asked| asked.path.contains("/store/"));
    assert_eq!(store.len(), 3);
    assert!(store.iter().all(|asked| asked.authorization.is_none()));
    assert!(hub.iter().all(|asked| asked.authorization.is_some()));
}

#[test]
fn a_model_or_revision_that_is_not_there_is_named() {
    let place = Place::new();
    let line = refused(&place.fetch(&["--revision", "v9"]));
    assert!(
        line.contains("owner/model") && line.contains("\"v9\"") && line.contains("404"),
        "{line}"
    );
    assert!(!place.models.path().join(".fetch").exists());
}

#[test]
fn without_a_network_the_error_says_what_to_do() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", taken.local_addr().expect("bound"));
    drop(taken);
    let line = refused(&place.fetch(&["--endpoint", &nobody]));
    for part in [
        &*nobody,
        "owner/model",
        "copy the model's folder",
        "HF_ENDPOINT",
    ] {
        assert!(line.contains(part), "{part} is missing in: {line}");
    }
    let line = refused(&place.fetch(&["--endpoint", "http://no-such-host.invalid"]));
    assert!(line.contains("no-such-host.invalid"), "{line}");
}

#[test]
fn a_model_that_is_there_stays_unless_it_shall_be_replaced() {
    let place = Place::new();
    done(&place.fetch(&[]));
    place.hub.asked("");
    assert!(done(&place.fetch(&[])).contains("complete already"));
    assert!(place.hub.asked("/resolve/").is_empty());

    place.hub.put(UNET, bytes(8, 200_000));
    let line = refused(&place.fetch(&[]));
    assert!(line.contains(UNET) && line.contains("--replace"), "{line}");
    assert_eq!(place.unet(), bytes(2, 300_000));
    done(&place.fetch(&["--replace"]));
    assert_eq!(place.unet(), bytes(8, 200_000));
    assert_eq!(names(&place.folder()), NEEDED);
    let left = names(&place.models.path().join(".fetch"));
    assert_eq!(left, ["owner--model.lock"]);
}

#[test]
fn a_hub_cannot_write_elsewhere() {
    let place = Place::new();
    for name in ["unet/../../../evil.safetensors", "/tmp/evil.safetensors"] {
        place.hub.put(name, bytes(6, 3_000));
        let line = refused(&place.fetch(&["--file", name]));
        assert!(line.contains("evil"), "{line}");
    }
    let everything = names(place.models.path());
    assert!(
        everything.iter().all(|name| !name.contains("evil")),
        "{everything:?}"
    );
}

#[test]
fn an_answer_that_is_no_list_is_told() {
    let place = Place::new();
    let endpoint = format!("{}/owner/model/resolve/main/README.md?", place.hub.endpoint);
    let line = refused(&place.fetch(&["--endpoint", &endpoint]));
    assert!(line.contains("no list of files"), "{line}");
    assert!(!Path::new(&place.folder()).exists());
}
