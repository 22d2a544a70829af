//! `docs/conformance.md`, made from the names of the tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::root;

use super::rows::ROWS;

/// Where tests of rows may stand.
const FOLDERS: [&str; 3] = ["integration-tests/tests", "sfu/src", "sfu/tests"];

/// Set, the document is written; otherwise it must be what would be written.
const WRITE: &str = "REVERIE_WRITE_DOCS";

/// Tests by row, each with its file.
type Tests = BTreeMap<String, Vec<(String, String)>>;

#[test]
fn the_conformance_table_is_made_from_the_tests() -> Result<()> {
    let mut tests = Tests::new();
    for folder in FOLDERS {
        walk(&root().join(folder), folder, &mut tests)?;
    }
    for row in tests.keys() {
        ensure!(
            ROWS.iter().any(|r| r.id == row),
            "there is no row {row}: {:?}",
            tests[row]
        );
    }
    let bare: Vec<_> = ROWS
        .iter()
        .filter(|row| !tests.contains_key(row.id) && row.note.is_empty())
        .map(|row| row.id)
        .collect();
    ensure!(
        bare.is_empty(),
        "rows with neither a test nor a note: {bare:?}"
    );
    let path = root().join("docs/conformance.md");
    let document = document(&tests)?;
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &document)?;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    ensure!(
        kept == document,
        "docs/conformance.md is not what the tests say; run make conformance"
    );
    Ok(())
}

fn walk(folder: &Path, name: &str, tests: &mut Tests) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = format!("{name}/{file}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &name, tests)?;
        } else if file.ends_with(".rs") {
            collect(&fs::read_to_string(entry.path())?, &name, tests);
        }
    }
    Ok(())
}

/// The functions under a test attribute whose name begins with a row.
fn collect(text: &str, file: &str, tests: &mut Tests) {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        let function = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ");
        let name = function.and_then(|f| f.split('(').next());
        if let Some(name) = name.filter(|_| is_test)
            && let Some(row) = row_of(name)
        {
            let found = (name.to_owned(), file.to_owned());
            tests.entry(row).or_default().push(found);
        }
        is_test = false;
    }
}

/// `W5` of `w5_a_preflight_needs_no_token`.
fn row_of(name: &str) -> Option<String> {
    let (row, _) = name.split_once('_')?;
    let number = row.strip_prefix(['w', 'e'])?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| row.to_uppercase())
}

fn document(tests: &Tests) -> Result<String> {
    let mut text = String::from(
        "# Conformance\n\n\
         What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep, with its events draft) ask of a server, and the tests that show it on the running one.\n\
         This file is written by `make conformance`, which runs these tests, and `make test` fails when it is out of date; the rows stand in `integration-tests/tests/it/conformance/rows.rs`.\n\
         A test belongs to the row its name begins with.\n\n\
         | row | asked by | requirement | tests |\n|---|---|---|---|\n",
    );
    for row in &ROWS {
        let count = tests.get(row.id).map_or(0, Vec::len);
        let status = match (count, row.note.is_empty()) {
            (0, _) => "none, see below".to_owned(),
            (_, true) => count.to_string(),
            (_, false) => format!("{count}, see below"),
        };
        writeln!(
            text,
            "| [{0}](#{1}) | {2} | {3} | {status} |",
            row.id,
            row.id.to_lowercase(),
            row.from,
            row.says
        )?;
    }
    for row in &ROWS {
        write!(text, "\n## {}\n\n{}.\n", row.id, row.says)?;
        if !row.note.is_empty() {
            write!(text, "\n{}\n", row.note)?;
        }
        let mut found = tests.get(row.id).into_iter().flatten().peekable();
        if found.peek().is_some() {
            text.push('\n');
        }
        for (name, file) in found {
            let words = name
                .split_once('_')
                .context("a prefix")?
                .1
                .replace('_', " ");
            writeln!(text, "- {words} (`{name}` in `{file}`)")?;
        }
    }
    Ok(text)
}

#[test]
fn only_tests_of_rows_are_listed() {
    let mut tests = Tests::new();
    let text = "#[test]\nfn w5_yes() {}\nfn w5_no_test() {}\n#[tokio::test(flavor = \"multi_thread\")]\n#[ignore]\nasync fn e2_also() {}\n#[test]\nfn e2e_is_no_row() {}\n#[test]\nfn window_is_none() {}\n";
    collect(text, "a.rs", &mut tests);
    let found: Vec<_> = tests
        .values()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(found, ["e2_also", "w5_yes"]);
}
