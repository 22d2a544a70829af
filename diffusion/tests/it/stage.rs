//! The stage as a pipeline drives it: frames in, frames out, changes between them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_diffusion::board::{Board, Note};
use reverie_diffusion::device::Placement;
use reverie_diffusion::hub::{Hub, Library};
use reverie_diffusion::params::{Blend, CfgType, Params};
use reverie_diffusion::stage::{Settings, StreamDiffusion};
use reverie_transcoder::color::Color;
use reverie_transcoder::frame::{Frame, I420, Picture};
use reverie_transcoder::size::Size;
use reverie_transcoder::stage::{Stage, StageError, StylePatch};
use reverie_transcoder::time::Pts;

use crate::golden::model;

fn params() -> Params {
    Params {
        model_id: "turbo".to_owned(),
        vae_id: Some("taesd".to_owned()),
        prompt: Blend::One("a cat".to_owned()),
        t_index_list: vec![16],
        cfg_type: Some(CfgType::None),
        width: 384,
        height: 384,
        ..Params::default()
    }
}

fn models() -> std::path::PathBuf {
    model("turbo").path().parent().unwrap().to_owned()
}

fn load(directory: &Path, params: Params, board: &Board) -> Result<Box<dyn Stage>, StageError> {
    let library = Library::new(directory, Placement::CPU);
    let settings = Settings {
        hub: Arc::new(Hub::new(library, Duration::ZERO)),
    };
    StreamDiffusion::factory(settings, params, board.clone())()
}

fn stage(params: Params) -> (Box<dyn Stage>, Board) {
    let board = Board::default();
    let mut stage = load(&models(), params, &board).unwrap();
    stage.warm().unwrap();
    (stage, board)
}

/// Another picture for each `number`, 320x180 in limited range.
fn frame(number: u64) -> Frame {
    let size = Size::new(320, 180).unwrap();
    let mut picture = I420::black(size, Color::BT709);
    for (at, luma) in picture.planes_mut()[0].iter_mut().enumerate() {
        *luma = 40 + ((at % 320 + at / 320 + number as usize * 17) % 160) as u8;
    }
    Frame {
        pts: Pts(number * 3600),
        arrived: Instant::now(),
        picture: Picture::I420(picture),
    }
}

fn styled(stage: &mut dyn Stage, number: u64) -> Option<(Pts, I420)> {
    stage.process(frame(number)).unwrap().map(|frame| {
        let Picture::I420(picture) = frame.picture else {
            panic!("pictures stay in main memory");
        };
        (frame.pts, picture)
    })
}

/// Mean difference of luma.
fn difference(a: &I420, b: &I420) -> f64 {
    let pairs = a.planes()[0].iter().zip(b.planes()[0]);
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.size().pixels() as f64
}

fn patch(text: &str) -> StylePatch {
    StylePatch::new().with_params(text)
}

#[test]
fn pictures_come_with_the_times_size_and_colour_of_the_frame_they_were_made_of() {
    let (mut stage, board) = stage(Params {
        t_index_list: vec![16, 32, 45],
        ..params()
    });
    assert_eq!(board.read().delay, 2);
    let out: Vec<_> = (0..5).map(|number| styled(&mut *stage, number)).collect();
    assert!(
        out[..2].iter().all(Option::is_none),
        "nothing is made of frames that are not there"
    );
    for (number, out) in out[2..].iter().enumerate() {
        let (pts, picture) = out.as_ref().unwrap();
        assert_eq!(*pts, Pts(number as u64 * 3600));
        assert_eq!(
            (picture.size().width(), picture.size().height()),
            (320, 180)
        );
        assert_eq!(picture.color(), Color::BT709);
    }
}

#[test]
fn a_prompt_changes_the_next_picture_and_nothing_is_loaded() {
    let ((mut changed, board), (mut same, _)) = (stage(params()), stage(params()));
    for stage in [&mut changed, &mut same] {
        styled(&mut **stage, 0).unwrap();
    }
    let notes = board.read().notes.len();
    let applied = changed
        .apply(&StylePatch::new().with_prompt("neon flowers"))
        .unwrap();
    assert!(applied.prompt);
    let [after, before] = [&mut changed, &mut same].map(|stage| styled(&mut **stage, 1).unwrap().1);
    assert!(
        difference(&after, &before) > 0.2,
        "{}",
        difference(&after, &before)
    );
    assert_eq!((notes, board.read().notes.len()), (1, 0));
}

#[test]
fn a_patch_that_is_wrong_names_its_place_and_changes_nothing() {
    let ((mut patched, _), (mut same, _)) = (stage(params()), stage(params()));
    for (text, pointer) in [
        (r#"{"seed": 4, "guidance_scal": 2}"#, "/guidance_scal"),
        (r#"{"seed": 4, "t_index_list": [3, 77]}"#, "/t_index_list/1"),
        (r#"{"seed": 4"#, "EOF"),
    ] {
        let error = patched.apply(&patch(text)).unwrap_err().to_string();
        assert!(error.contains(pointer), "{error}");
    }
    let [one, other] = [&mut patched, &mut same].map(|stage| styled(&mut **stage, 0).unwrap().1);
    assert_eq!(one.as_bytes(), other.as_bytes());
    let applied = patched.apply(&patch(r#"{"seed": 4}"#)).unwrap();
    let expected = Params {
        seed: Blend::One(4),
        ..params()
    };
    assert_eq!(applied.params_hash, Some(expected.hash()));
    let [one, other] = [&mut patched, &mut same].map(|stage| styled(&mut **stage, 1).unwrap().1);
    assert!(difference(&one, &other) > 0.2);
}

/// Frames until the board says that loading is over; each of them gives a picture.
fn until_loaded(stage: &mut dyn Stage, board: &Board, from: u64) -> Note {
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in from.. {
        let (pts, _) =
            styled(stage, number).expect("the old model goes on while another is loaded");
        assert_eq!(pts, Pts(number * 3600));
        if let Some(note) = board.read().notes.pop() {
            return note;
        }
        assert!(Instant::now() < deadline, "loading never ends");
    }
    unreachable!("there is no last frame")
}

#[test]
fn another_model_is_loaded_beside_the_running_one_without_a_frame_lost() {
    let (mut stage, board) = stage(params());
    let _ = board.read();
    stage
        .apply(&patch(r#"{"model_id": "sd21", "seed": 4}"#))
        .unwrap();
    assert!(
        board
            .read()
            .reload
            .is_some_and(|reload| reload.fields == ["model_id"])
    );
    let note = until_loaded(&mut *stage, &board, 0);
    assert!(
        matches!(&note, Note::Reloaded(params) if params.model_id == "sd21" && params.seed == Blend::One(4)),
        "{note:?}"
    );
    assert_eq!(board.read().reload, None);
    styled(&mut *stage, 1000).unwrap();
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_the_running_one_and_says_why() {
    let (mut stage, board) = stage(params());
    let _ = board.read();
    stage
        .apply(&patch(r#"{"model_id": "nowhere", "seed": 4}"#))
        .unwrap();
    let note = until_loaded(&mut *stage, &board, 0);
    let Note::FellBack { params, reason } = note else {
        panic!("{note:?}");
    };
    assert!(reason.contains("nowhere"), "{reason}");
    // What needs no model holds.
    assert_eq!(
        (params.model_id.as_str(), params.seed.clone()),
        ("turbo", Blend::One(4))
    );
    styled(&mut *stage, 1000).unwrap();
}

#[test]
fn processors_work_without_a_model_and_the_model_comes_when_it_is_wanted() {
    let nothing = tempfile::tempdir().unwrap();
    let board = Board::default();
    let skipping = Params {
        skip_diffusion: true,
        ..params()
    };
    let mut alone = load(nothing.path(), skipping.clone(), &board).unwrap();
    alone.apply(&patch(r#"{"processors": ["canny"]}"#)).unwrap();
    let (_, edges) = styled(&mut *alone, 0).unwrap();
    let extremes = edges.planes()[0]
        .iter()
        .filter(|&&luma| !(40..=200).contains(&luma))
        .count();
    assert!(
        extremes * 10 > edges.size().pixels() * 6,
        "edges are black and white: {extremes}"
    );

    let (mut stage, board) = stage(skipping);
    let _ = board.read();
    stage.apply(&patch(r#"{"skip_diffusion": false}"#)).unwrap();
    let note = until_loaded(&mut *stage, &board, 0);
    assert!(matches!(note, Note::Reloaded(_)), "{note:?}");
}

#[test]
fn a_picture_that_is_not_finite_is_an_error_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["turbo", "taesd"] {
        copy(model(name).path(), &directory.path().join(name));
    }
    spoil(
        &directory
            .path()
            .join("taesd/diffusion_pytorch_model.safetensors"),
        "decoder.layers.0.bias",
    );
    let board = Board::default();
    let mut stage = load(directory.path(), params(), &board).unwrap();
    let error = stage.process(frame(0)).unwrap_err();
    assert!(
        matches!(&error, StageError::Process(reason) if reason.contains("not finite")),
        "{error}"
    );
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::write(&target, std::fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// Makes the first number of a tensor of 16-bit floats no number.
fn spoil(path: &Path, key: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    assert_eq!(json[key]["dtype"], "F16");
    let at = 8 + header + json[key]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_fit_changes_between_two_frames_and_a_crop_leaves_black_beside_the_middle() {
    let (mut stage, _) = stage(params());
    let rim = |picture: &I420| {
        let rows = picture.planes()[0].chunks(320);
        rows.flat_map(|row| [row[10], row[309]]).max().unwrap()
    };
    let (_, whole) = styled(&mut *stage, 0).unwrap();
    assert!(rim(&whole) > 16);
    stage.apply(&patch(r#"{"fit": "crop"}"#)).unwrap();
    let (_, middle) = styled(&mut *stage, 1).unwrap();
    // The model is as high as it is wide: of 320 columns the 180 in the middle.
    assert_eq!(rim(&middle), 16);
    stage.apply(&patch(r#"{"fit": "stretch"}"#)).unwrap();
    let (_, whole) = styled(&mut *stage, 2).unwrap();
    assert!(rim(&whole) > 16);
}
