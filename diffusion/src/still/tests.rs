use super::*;

/// 16x8, left half (200, 40, 10) and right half (20, 90, 230), written by Pillow as a JPEG of quality 95.
const JPEG: &str = "data:image/jpeg;base64,\
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsK\
    DAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAI\
    ABADAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJx\
    FDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWW\
    l5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAEC\
    AwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2\
    Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU\
    1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD5Pr+Vz/Ugkr/fA/5/z//Z";
/// The same as a PNG with opacity.
const PNG: &str = "data:image/png;base64,\
    iVBORw0KGgoAAAANSUhEUgAAABAAAAAICAYAAADwdn+XAAAAH0lEQVR42mM8ocH1nwEP8DG6g0+agYmBQjBqwGAwAACfhANj3a968QAAAABJRU5E\
    rkJggg==";

fn read(image: &str) -> Result<Still, String> {
    Still::read(Path::new("/nonexistent"), image).map_err(|error| error.to_string())
}

#[test]
fn a_picture_in_an_address_is_decoded() {
    for (image, worst) in [(PNG, 0), (JPEG, 2)] {
        let still = read(image).unwrap();
        assert_eq!((still.width, still.height), (16, 8), "{image:.30}");
        for (at, pixel) in still.rgb.chunks(3).enumerate() {
            let expected = [[200, 40, 10], [20, 90, 230]][usize::from(at % 16 >= 8)];
            let far = pixel.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
            assert!(far.unwrap() <= worst, "{at}: {pixel:?}");
        }
    }
}

#[test]
fn a_file_is_what_its_bytes_say_and_not_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = PNG.split_once(',').unwrap().1;
    let path = folder.path().join("style.jpg");
    std::fs::write(&path, STANDARD.decode(data).unwrap()).unwrap();
    assert_eq!(
        Still::read(folder.path(), "style.jpg").unwrap(),
        read(PNG).unwrap()
    );
    std::fs::write(&path, "no picture").unwrap();
    let said = Still::read(folder.path(), "style.jpg")
        .unwrap_err()
        .to_string();
    assert!(
        said.ends_with("style.jpg: is neither PNG nor JPEG"),
        "{said}"
    );
    let said = Still::read(folder.path(), "other.png")
        .unwrap_err()
        .to_string();
    assert!(said.contains("other.png"), "{said}");
}

#[test]
fn no_address_is_fetched_and_each_fault_is_told() {
    let short = |image: &str, length: usize| image[..length].to_owned();
    for (image, expected) in [
        (
            "http://169.254.169.254/latest".to_owned(),
            "are not fetched",
        ),
        ("https://example.org/a.png".to_owned(), "are not fetched"),
        ("file:///etc/passwd".to_owned(), "are not fetched"),
        (
            "data:image/svg+xml;base64,AAAA".to_owned(),
            "are not fetched",
        ),
        ("data:image/png,AAAA".to_owned(), "are not fetched"),
        (PREFIXES[0].to_owned(), "not in base64"),
        (format!("{}A A=", PREFIXES[0]), "not in base64"),
        (format!("{}AAAA", PREFIXES[0]), "neither PNG nor JPEG"),
        (
            format!("{}{}", PREFIXES[0], "A".repeat(LONGEST)),
            "at most 1048576",
        ),
        (short(PNG, 90), "the picture in the address"),
        (
            short(JPEG, 400 + PREFIXES[1].len()),
            "the picture in the address",
        ),
    ] {
        let said = read(&image).unwrap_err();
        assert!(said.contains(expected), "{image:.40}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_picture_that_says_it_is_huge_is_refused_before_it_is_unpacked() {
    let mut bytes = STANDARD.decode(PNG.split_once(',').unwrap().1).unwrap();
    bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    let said = read(&format!("{}{}", PREFIXES[0], STANDARD.encode(&bytes))).unwrap_err();
    // The checksum of the header is wrong as well, and may be looked at first.
    assert!(said.contains("100000x8") || said.contains("CRC"), "{said}");
}
