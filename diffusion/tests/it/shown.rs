//! What an IP-Adapter shows in a running engine: the camera's picture, a file, or a picture sent along.

use std::os::unix::fs::symlink;
use std::time::Duration;

use reverie_diffusion::device::Placement;
use reverie_diffusion::hub::{Hub, Library, Pictures, Session};
use reverie_diffusion::params::{CfgType, IpAdapter, Params};
use tempfile::TempDir;

use crate::golden;

/// 16x8, red on the left and blue on the right.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAICAYAAADwdn+XAAAAH0lEQVR42mM8ocH1nwEP8DG6g0+a\
    gYmBQjBqwGAwAACfhANj3a968QAAAABJRU5ErkJggg==";

/// A directory of models with an adapter in it.
fn library() -> (TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["turbo", "taesd_small"] {
        symlink(golden::model(name).path(), folder.path().join(name)).unwrap();
    }
    symlink(golden::path("ip_adapter"), folder.path().join("adapter")).unwrap();
    let library = Library::new(folder.path(), Placement::CPU);
    (folder, library)
}

fn params(image: Option<&str>) -> Params {
    Params {
        model_id: "turbo".to_owned(),
        vae_id: Some("taesd_small".to_owned()),
        t_index_list: vec![16],
        cfg_type: Some(CfgType::None),
        width: 64,
        height: 64,
        ip_adapter: Some(IpAdapter {
            model_id: "adapter/adapter_turbo.safetensors".to_owned(),
            image: image.map(str::to_owned),
            scale: 1.0,
        }),
        ..Params::default()
    }
}

fn styled(session: &Session) -> Vec<u8> {
    let rgb = (0..64 * 64 * 3).map(|i| (i / 5) as u8).collect();
    let controls = Vec::new();
    let styled = session.frame(Pictures { rgb, controls }).unwrap();
    styled.pictures.rgb
}

fn far(a: &[u8], b: &[u8]) -> u8 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn a_picture_that_is_sent_along_is_shown_from_the_next_frame_on_without_a_reload() {
    let (_folder, library) = library();
    let hub = Hub::new(library, Duration::ZERO);
    let mut session = hub.open(&params(None)).wait().unwrap();
    let camera = styled(&session);
    session.apply(&params(Some(PICTURE))).unwrap();
    let sent = styled(&session);
    assert!(far(&camera, &sent) > 3, "{}", far(&camera, &sent));

    let begun_with_it = hub.open(&params(Some(PICTURE))).wait().unwrap();
    assert_eq!(styled(&begun_with_it), sent);

    session.apply(&params(None)).unwrap();
    assert_eq!(
        styled(&session),
        camera,
        "the camera's picture is shown again"
    );
}

#[test]
fn a_file_below_the_directory_of_models_is_shown_and_one_that_is_none_changes_nothing() {
    let (folder, library) = library();
    let texture = golden::path("texture.png");
    std::fs::copy(texture, folder.path().join("style.png")).unwrap();
    std::fs::write(folder.path().join("text.png"), "no picture").unwrap();
    let hub = Hub::new(library, Duration::ZERO);
    let mut session = hub.open(&params(Some("style.png"))).wait().unwrap();
    let shown = styled(&session);
    for (image, says) in [
        ("text.png", "text.png: is neither PNG nor JPEG"),
        ("other.png", "other.png"),
        ("../style.png", "is no name below the directory of models"),
        ("http://127.0.0.1/style.png", "addresses are not fetched"),
    ] {
        let error = session.apply(&params(Some(image))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(styled(&session), shown, "{image}");
    }
    let error = hub.open(&params(Some("text.png"))).wait().unwrap_err();
    assert!(error.to_string().contains("text.png"), "{error}");
}

#[test]
fn loading_tells_each_network_and_the_share_of_what_is_done() {
    let (_folder, library) = library();
    let mut told = Vec::new();
    let mut note = |part: &str, done: f64| told.push((part.to_owned(), done));
    library.load(&params(None), &mut note).unwrap();
    let parts: Vec<_> = told.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["unet", "vae", "text_encoder", "ip_adapter"]);
    assert_eq!(told[0].1, 0.0);
    assert!(
        told.windows(2).all(|pair| pair[0].1 < pair[1].1),
        "{told:?}"
    );
    assert!(told[3].1 < 1.0, "{told:?}");
}
