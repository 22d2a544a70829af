//! What is told of safetensors files that are not as they should be, and that nothing worse happens.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use reverie_diffusion::Error;
use reverie_diffusion::device::Placement;
use reverie_diffusion::weights::Weights;
use tch::{Kind, Tensor};
use tempfile::TempDir;

/// A file of this header and this many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|i| i as u8));
    bytes
}

/// Two matrices and an empty one.
fn good() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},
        "a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
        "b.weight":{"dtype":"F16","shape":[4],"data_offsets":[24,32]},
        "c":{"dtype":"F32","shape":[0],"data_offsets":[32,32]}}"#;
    file(header, 32)
}

struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, bytes: &[u8]) -> Result<Weights, Error> {
        let path = self.path("model.safetensors");
        fs::write(&path, bytes).expect("writable");
        Weights::open_files(&[path], Placement::CPU)
    }

    /// Why the file is refused; the message is one line and names the file.
    fn refusal(&self, bytes: &[u8]) -> String {
        one_line(
            &self.open(bytes).expect_err("a file to refuse"),
            "model.safetensors",
        )
    }
}

fn one_line(error: &Error, file: &str) -> String {
    let message = error.to_string();
    assert!(message.contains(file), "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(message.len() < 2000, "{} bytes", message.len());
    message
}

/// Takes every tensor in the shape that the file says.
fn take_all(weights: &Weights) -> Vec<Tensor> {
    let keys: Vec<_> = weights.keys().map(str::to_owned).collect();
    keys.iter()
        .map(|key| weights.tensor(key, weights.shape(key).expect("its own key")))
        .collect()
}

#[test]
fn a_whole_file_gives_its_tensors() {
    let weights = Case::new().open(&good()).expect("a good file");
    let tensors = take_all(&weights);
    let report = weights.finish().expect("nothing wrong");
    assert_eq!(report.loaded, 3);
    let bytes: Vec<u8> = (0..24).collect();
    let expected = Tensor::from_data_size(&bytes, &[2, 3], Kind::Float);
    assert_eq!(tensors[0], expected);
    assert_eq!(weights.metadata("format"), Some("pt"));
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let case = Case::new();
    let whole = good();
    for length in 0..whole.len() {
        case.refusal(&whole[..length]);
    }
    let last = case.refusal(&whole[..whole.len() - 1]);
    assert!(last.contains("b.weight ends at byte"), "{last}");
    assert!(last.contains("cut short"), "{last}");
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let mut bytes = good();
    bytes.push(0);
    let reason = Case::new().refusal(&bytes);
    assert!(reason.contains("1 bytes after its last tensor"), "{reason}");
}

#[test]
fn a_header_that_lies_is_refused_with_the_key_it_lies_about() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"k":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let after = |second: &str| {
        format!(r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"k":{second}}}"#)
    };
    let cases = [
        (
            entry("F32", "[2]", "[0,4]"),
            "k is [2] of F32, which is not bytes 0 to 4",
        ),
        (entry("F32", "[2]", "[8,0]"), "k is [2] of F32"),
        (entry("F32", "[-2]", "[0,8]"), "k: invalid value"),
        (entry("F32", "[2.5]", "[0,10]"), "k: invalid type"),
        (entry("F32", "[2]", "[-8,0]"), "k: invalid value"),
        (entry("F32", "[2]", "[0,8,16]"), "k: "),
        (entry("F32", "\"2\"", "[0,8]"), "k: invalid type"),
        (
            entry("F8_E4M3", "[8]", "[0,8]"),
            "k has elements of F8_E4M3",
        ),
        (entry("F32\\n", "[2]", "[0,8]"), "k has elements of F32 "),
        (
            entry("U8", "[18446744073709551615]", "[0,18446744073709551615]"),
            "k is [18446744073709551615]",
        ),
        (
            entry("U8", "[9223372036854775807]", "[0,9223372036854775807]"),
            "k ends at byte",
        ),
        (
            entry(
                "U8",
                "[9223372036854775800]",
                "[9223372036854775815,18446744073709551615]",
            ),
            "k ends beyond",
        ),
        (
            entry("F32", "[4294967296,4294967296]", "[0,0]"),
            "k is [4294967296, 4294967296]",
        ),
        (
            entry("F32", "[4611686018427387904]", "[0,0]"),
            "k is [4611686018427387904]",
        ),
        (
            entry("F32", "[0,18446744073709551615]", "[0,0]"),
            "k is [0, 18446744073709551615]",
        ),
        (
            entry("F32", "[0,4294967296,4294967296]", "[0,0]"),
            "k is [0, 4294967296",
        ),
        (
            entry("F32", "[2]", "[0,8]").replace(r#""shape":[2],"#, ""),
            "k: missing field",
        ),
        (
            after(r#"{"dtype":"U8","shape":[6],"data_offsets":[2,8]}"#),
            "k begins at byte",
        ),
        (
            after(r#"{"dtype":"U8","shape":[2],"data_offsets":[6,8]}"#),
            "k begins at byte",
        ),
        (
            after(
                r#"{"dtype":"U8","shape":[4],"data_offsets":[4,8]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#,
            ),
            "a is there twice",
        ),
        (r#"{"k":[1,2]}"#.to_owned(), "k: "),
        (r#"{"k":null}"#.to_owned(), "k: invalid type"),
        (
            r#"{"__metadata__":{"k":1}}"#.to_owned(),
            "__metadata__: invalid type",
        ),
        (
            r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(),
            "__metadata__ is there twice",
        ),
        (
            r#"{"k\nx":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#.to_owned(),
            "is no name",
        ),
        ("[]".to_owned(), "an object of tensors"),
        ("{".to_owned(), "header: EOF"),
        ("{} {}".to_owned(), "header: trailing"),
        (String::new(), "header: EOF"),
        ("[".repeat(100_000), "header: "),
        (format!(r#"{{"k":{}"#, "[".repeat(100_000)), "header: "),
        (format!(r#"{{"{}":{{}}}}"#, "k".repeat(100_000)), "header: "),
        (
            format!(
                r#"{{"k":{{"dtype":"{}","shape":[2],"data_offsets":[0,8]}}}}"#,
                "F".repeat(100_000)
            ),
            "k has elements of",
        ),
    ];
    let test = Case::new();
    for (header, expected) in &cases {
        let reason = test.refusal(&file(header, 8));
        assert!(reason.contains(expected), "{reason} instead of {expected}");
    }
}

#[test]
fn a_header_that_is_no_utf8_is_refused() {
    let mut bytes = file(
        r#"{"k":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#,
        8,
    );
    bytes[10] = 0xff;
    Case::new().refusal(&bytes);
}

#[test]
fn a_header_longer_than_the_file_is_refused_without_room_for_it() {
    let case = Case::new();
    for size in [1_u64, 25, 1 << 26, 1 << 40, u64::MAX - 8, u64::MAX] {
        let mut bytes = size.to_le_bytes().to_vec();
        bytes.extend([b' '; 8]);
        case.refusal(&bytes);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let case = Case::new();
    let folder = case.path("folder.safetensors");
    fs::create_dir(&folder).expect("a folder");
    for (path, name) in [(folder, "folder"), (case.path("none.safetensors"), "none")] {
        let error = Weights::open_files(&[path], Placement::CPU).expect_err("no file");
        one_line(&error, name);
    }
}

#[test]
fn a_tensor_in_two_shards_is_refused_with_both_names() {
    let case = Case::new();
    let shards = [case.path("one.safetensors"), case.path("two.safetensors")];
    for shard in &shards {
        fs::write(shard, good()).expect("writable");
    }
    let error = Weights::open_files(&shards, Placement::CPU).expect_err("one key twice");
    let message = one_line(&error, "two.safetensors");
    assert!(message.contains("a.weight"), "{message}");
    assert!(message.contains("one.safetensors"), "{message}");
}

#[test]
fn the_report_tells_all_that_does_not_fit() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},
        "c":{"dtype":"BF16","shape":[2,2],"data_offsets":[16,24]}}"#;
    let weights = Case::new().open(&file(header, 24)).expect("a good file");
    for (key, shape) in [("a", [3]), ("a", [4]), ("b", [1]), ("d", [5])] {
        let stand_in = weights.tensor(key, &shape);
        assert_eq!(stand_in.size(), shape);
    }
    let report = weights.report();
    assert_eq!(report.loaded, 0);
    assert_eq!(report.misshaped.len(), 2);
    assert_eq!(report.mistyped[0].key, "b");
    assert_eq!(report.missing[0].key, "d");
    assert_eq!(report.unused, [("c".to_owned(), vec![2, 2])]);
    let message = one_line(
        &weights.finish().expect_err("unusable"),
        "model.safetensors",
    );
    assert!(
        message.contains("a is [2] instead of [3] (and 3 more)"),
        "{message}"
    );
}

#[test]
fn a_file_that_shrinks_after_it_was_opened_is_a_missing_tensor() {
    let case = Case::new();
    let weights = case.open(&good()).expect("a good file");
    shorten(weights.path(), 10);
    take_all(&weights);
    let message = one_line(&weights.finish().expect_err("gone"), "model.safetensors");
    assert!(message.contains("a.weight [2, 3] is missing"), "{message}");
}

fn shorten(path: &Path, length: u64) {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("there");
    file.set_len(length).expect("writable");
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check_any(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_fitting_length_are_refused_or_read(bytes in "[\\[\\]{}\",:0-9a-z_ .\\-]{0,200}") {
        check_any(&file(&bytes, 8));
    }

    #[test]
    fn a_good_file_with_changed_bytes_is_refused_or_read(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = good();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        check_any(&bytes);
    }

    #[test]
    fn any_numbers_in_a_header_are_refused_or_read(
        shape in proptest::collection::vec(prop_oneof![0..5_u64, any::<u64>()], 0..5),
        from in prop_oneof![Just(0_u64), any::<u64>()],
        to in prop_oneof![0..64_u64, any::<u64>()],
        dtype in prop::sample::select(vec!["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL"]),
    ) {
        let header = format!(r#"{{"k":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}}}"#);
        let data = usize::try_from(to).ok().filter(|&to| to < 64).unwrap_or(8);
        check_any(&file(&header, data));
    }
}

/// Whatever is in the file: an error of one line, or tensors of the shapes it told.
fn check_any(bytes: &[u8]) {
    match Case::new().open(bytes) {
        Err(error) => {
            one_line(&error, "model.safetensors");
        }
        Ok(weights) => {
            let keys: Vec<_> = weights.keys().map(str::to_owned).collect();
            for (key, tensor) in keys.iter().zip(take_all(&weights)) {
                assert_eq!(Some(tensor.size().as_slice()), weights.shape(key));
            }
        }
    }
}
