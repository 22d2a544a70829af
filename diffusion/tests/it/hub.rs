//! Channels that share an engine get what they would get alone.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use reverie_diffusion::device::Placement;
use reverie_diffusion::hub::{Hub, Library, Pictures, Session, Styled};
use reverie_diffusion::params::{Blend, CfgType, Params};

use crate::golden::model;

fn hub(gather: Duration) -> Hub {
    let directory = model("turbo").path().parent().unwrap().to_owned();
    Hub::new(Library::new(directory, Placement::CPU), gather)
}

fn params(prompt: &str) -> Params {
    Params {
        model_id: "turbo".to_owned(),
        vae_id: Some("taesd_small".to_owned()),
        prompt: Blend::One(prompt.to_owned()),
        t_index_list: vec![16, 32],
        cfg_type: Some(CfgType::None),
        width: 64,
        height: 64,
        ..Params::default()
    }
}

/// Another one for each `n`.
fn picture(n: usize) -> Pictures {
    Pictures {
        rgb: (0..64 * 64 * 3).map(|i| (i / 5 + n * 40) as u8).collect(),
        controls: Vec::new(),
    }
}

fn styled(session: &Session, frames: usize) -> Vec<Vec<u8>> {
    (0..frames)
        .map(|n| session.frame(picture(n)).unwrap().pictures.rgb)
        .collect()
}

fn worst(a: &[Vec<u8>], b: &[Vec<u8>]) -> u8 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn channels_that_share_calls_get_the_pictures_they_get_alone() {
    let prompts = ["a cat", "the dog", "neon flowers"];
    let alone: Vec<_> = prompts
        .map(|prompt| {
            styled(
                &hub(Duration::ZERO).open(&params(prompt)).wait().unwrap(),
                6,
            )
        })
        .into();
    assert!(worst(&alone[0], &alone[1]) > 3, "prompts make a difference");

    // Long enough for all to come, whatever else the machine does.
    let hub = hub(Duration::from_secs(20));
    let sessions = prompts.map(|prompt| hub.open(&params(prompt)).wait().unwrap());
    let start = Barrier::new(sessions.len());
    let shared: Vec<(Vec<Vec<u8>>, Vec<usize>)> = std::thread::scope(|scope| {
        let channel = |session| {
            let session: &Session = session;
            start.wait();
            let styled: Vec<Styled> = (0..6).map(|n| session.frame(picture(n)).unwrap()).collect();
            let together = styled.iter().map(|styled| styled.together).collect();
            (
                styled
                    .into_iter()
                    .map(|styled| styled.pictures.rgb)
                    .collect(),
                together,
            )
        };
        let threads = sessions
            .each_ref()
            .map(|session| scope.spawn(move || channel(session)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for ((alone, (shared, together)), prompt) in alone.iter().zip(&shared).zip(prompts) {
        assert!(
            together.iter().all(|&together| together == 3),
            "{together:?}"
        );
        // Sums of another batch size are rounded otherwise.
        let worst = worst(alone, shared);
        assert!(worst <= 1, "{prompt}: {worst}");
    }
}

#[test]
fn a_channel_that_sends_nothing_is_not_waited_for_longer_than_a_moment() {
    let hub = hub(Duration::from_millis(3));
    let [busy, _silent] =
        ["a cat", "the dog"].map(|prompt| hub.open(&params(prompt)).wait().unwrap());
    let styled = busy.frame(picture(0)).unwrap();
    assert_eq!(styled.together, 1);
    let began = Instant::now();
    busy.frame(picture(1)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_fault_of_one_channel_is_not_one_of_another() {
    let hub = hub(Duration::from_secs(20));
    let good = hub.open(&params("a cat")).wait().unwrap();
    let bad = hub.open(&params("a cat")).wait().unwrap();
    std::thread::scope(|scope| {
        let faulty = scope.spawn(|| {
            let short = Pictures {
                rgb: vec![0; 7],
                controls: Vec::new(),
            };
            bad.frame(short).unwrap_err().to_string()
        });
        let styled = good.frame(picture(0)).unwrap();
        assert_eq!(styled.pictures.rgb.len(), 64 * 64 * 3);
        let error = faulty.join().unwrap();
        assert_eq!(error, "7 bytes are no pictures of 64x64");
    });
    // It is alone now and waits for nobody.
    drop(good);
    let after = bad.frame(picture(0)).unwrap();
    assert_eq!(after.pictures.rgb.len(), 64 * 64 * 3);
}

#[test]
fn a_model_that_is_not_there_is_named_to_everybody_and_tried_again_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::new(
        Library::new(directory.path(), Placement::CPU),
        Duration::ZERO,
    );
    let waiting = [0, 1].map(|_| hub.open(&params("a cat")));
    for opening in waiting {
        let error = opening.wait().unwrap_err().to_string();
        assert!(error.contains("turbo"), "{error}");
    }
    for part in ["turbo", "taesd_small"] {
        std::os::unix::fs::symlink(model(part).path(), directory.path().join(part)).unwrap();
    }
    hub.open(&params("a cat")).wait().unwrap();
}

#[test]
fn a_name_that_leads_out_of_the_directory_of_models_is_refused() {
    let hub = hub(Duration::ZERO);
    for id in ["../turbo", "/etc", ""] {
        let params = Params {
            model_id: id.to_owned(),
            ..params("a cat")
        };
        let error = hub.open(&params).wait().unwrap_err().to_string();
        assert!(error.contains("no name below the directory"), "{error}");
    }
}
