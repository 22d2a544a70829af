//! Files that can be used, and every way in which they cannot.

use std::fs;
use std::path::Path;

use reverie_config::Tls;

use super::{Https, self_signed, time_of};

fn config(folder: &Path) -> Tls {
    Tls {
        cert: Some(folder.join("cert.pem")),
        key: Some(folder.join("key.pem")),
        ..Tls::default()
    }
}

fn problem(folder: &Path) -> String {
    let loaded = Https::load(&config(folder));
    loaded.expect_err("not usable").to_string()
}

#[test]
fn a_self_signed_pair_can_be_served_and_reloaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = self_signed(folder.path(), &["reverie.example".to_owned()]).expect("made");
    for name in ["localhost", "127.0.0.1", "::1", "reverie.example"] {
        assert!(
            made.names.iter().any(|n| n == name),
            "{name}: {:?}",
            made.names
        );
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(&made.key).expect("a key").permissions(),
    );
    assert_eq!(mode & 0o077, 0, "the key is its owner's");
    let (https, expiry) = Https::load(&config(folder.path()))
        .expect("usable")
        .expect("named");
    let year = time::OffsetDateTime::now_utc().unix_timestamp() + 365 * 86_400;
    assert!((year - expiry.0).abs() < 60, "{expiry:?}");
    assert_eq!(https.reload().expect("unchanged"), expiry);
    assert!(
        self_signed(folder.path(), &[]).is_err(),
        "nothing is replaced"
    );
}

#[test]
fn without_files_there_is_no_https() {
    assert!(Https::load(&Tls::default()).expect("no problem").is_none());
}

#[test]
fn each_fault_names_the_key_the_file_and_what_is_wrong() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    self_signed(a.path(), &[]).expect("made");
    self_signed(b.path(), &[]).expect("made");
    let (cert, key) = (a.path().join("cert.pem"), a.path().join("key.pem"));
    let (good_cert, good_key) = (fs::read(&cert).expect("cert"), fs::read(&key).expect("key"));

    fs::copy(b.path().join("key.pem"), &key).expect("copied");
    let said = problem(a.path());
    assert!(
        said.contains("http.tls.key") && said.contains("is not the key of the certificate"),
        "{said}"
    );
    fs::write(
        &key,
        b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXNlY3JldA==\n-----END PRIVATE KEY-----\n",
    )
    .expect("written");
    let said = problem(a.path());
    assert!(
        said.contains("http.tls.key") && !said.contains("c2Vj"),
        "{said}"
    );
    fs::write(&key, "hunter2").expect("written");
    let said = problem(a.path());
    assert!(
        said.contains("has no private key") && !said.contains("hunter2"),
        "{said}"
    );
    fs::remove_file(&key).expect("removed");
    let said = problem(a.path());
    assert!(
        said.contains("`http.tls.key`")
            && said.contains("key.pem")
            && said.contains("cannot be read"),
        "{said}"
    );
    fs::write(&key, good_key).expect("written");

    fs::write(&cert, "").expect("written");
    assert!(problem(a.path()).contains("has no certificate in it"));
    fs::write(
        &cert,
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
    )
    .expect("written");
    assert!(problem(a.path()).contains("no X.509 certificate"));
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\n!!\n").expect("written");
    assert!(problem(a.path()).contains("`http.tls.cert`"));
    fs::write(&cert, good_cert).expect("written");
    assert!(
        Https::load(&config(a.path())).is_ok(),
        "the good ones were good"
    );
}

#[test]
fn a_broken_file_leaves_the_pair_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    self_signed(folder.path(), &[]).expect("made");
    let (https, _) = Https::load(&config(folder.path()))
        .expect("usable")
        .expect("named");
    let before = https.current.0.read().expect("unlocked").clone();
    fs::write(folder.path().join("cert.pem"), "half a").expect("written");
    assert!(https.reload().is_err());
    let after = https.current.0.read().expect("unlocked").clone();
    assert!(std::sync::Arc::ptr_eq(&before, &after));
}

#[test]
fn a_time_is_told_in_utc() {
    // `date -u -d @1801439999 +%FT%TZ`
    assert_eq!(time_of(1_801_439_999), "2027-01-31T23:59:59Z");
}
