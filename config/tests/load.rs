//! Loading as an operator sees it: what a file and variables give, and what each mistake is called.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reverie_config::{Backend, Config, Errors, Format, Origin, REFERENCE, load};

const TOKEN: &str = "correct-horse-battery";

fn env<const N: usize>(vars: [(&str, &str); N]) -> BTreeMap<String, String> {
    vars.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Loads the text as a file named `reverie.toml`; messages name it without its folder.
fn load_text<const N: usize>(text: &str, vars: [(&str, &str); N]) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("reverie.toml");
    std::fs::write(&path, text).expect("a written file");
    let prefix = format!("{}/", folder.path().display());
    load(Some(&path), &env(vars)).map_err(|errors| errors.to_string().replace(&prefix, ""))
}

fn lines<const N: usize>(text: &str, vars: [(&str, &str); N]) -> Vec<String> {
    load_text(text, vars)
        .expect_err("problems")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(load(None, &env([])), Ok(Config::default()));
    assert_eq!(
        load_text("", [("PATH", "/bin"), ("REVERIE_HOME", "x")]),
        Ok(Config::default())
    );
}

#[test]
fn the_reference_is_the_default() {
    assert_eq!(load_text(REFERENCE, []), Ok(Config::default()));
}

#[test]
fn a_rendered_configuration_loads_to_itself() {
    let text = "[http]\nallowed_origins = ['https://a.example', 'http://b.example:81']\n[media]\nadvertise = ['203.0.113.7', '[2001:db8::1]:7100']\n\
        [log]\nlevel = 'info,x=\"y\"'\n[pipeline]\nencoder = 'openh264'\nunit_queue_ms = 125";
    let config = load_text(text, []).unwrap();
    assert_eq!(load_text(&config.render(), []), Ok(config));
}

#[test]
fn a_file_sets_values_of_every_type() {
    let text = "data_dir = '/srv/reverie'\n[media]\nshards = 4\nadvertise = ['203.0.113.7', '198.51.100.1:17000']\nkeyframe_request_interval_ms = 250\n\
        [pipeline]\ndecoder = 'openh264'\n[log]\nformat = 'json'\n[auth]\npublic_watch = true";
    let config = load_text(text, []).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/reverie"));
    assert_eq!(config.media.shards.get(), 4);
    assert_eq!(
        config.media.advertise,
        [
            "203.0.113.7".parse().unwrap(),
            "198.51.100.1:17000".parse().unwrap()
        ]
    );
    assert_eq!(
        config.media.keyframe_request_interval,
        Duration::from_millis(250)
    );
    assert_eq!(config.pipeline.decoder, Backend::Openh264);
    assert_eq!(config.log.format, Format::Json);
    assert!(config.auth.public_watch);
}

#[test]
fn a_variable_wins_over_the_file() {
    let text = "data_dir = 'file'\n[media]\nshards = 2\npublisher_silence_s = 7";
    let vars = [
        ("REVERIE__DATA_DIR", "variable"),
        ("REVERIE__MEDIA__SHARDS", "3"),
        ("REVERIE__MEDIA__ADVERTISE", "203.0.113.7, 2001:db8::1"),
        ("REVERIE__AUTH__PUBLIC_WATCH", "true"),
        (
            "REVERIE__MEDIA__ICE_SERVERS",
            "stun:stun.example.org, turn:turn.example.org?transport=udp alice hunter2",
        ),
        ("REVERIE__HTTP__TRUSTED_PROXIES", "10.0.0.0/8"),
    ];
    let config = load_text(text, vars).unwrap();
    let servers = &config.media.ice_servers;
    assert_eq!(servers[0].uri, "stun:stun.example.org");
    assert_eq!(servers[1].login.as_ref().unwrap().password(), "hunter2");
    assert!(!config.render().contains("hunter2"), "{}", config.render());
    assert!(config.http.trusted_proxies[0].contains([10, 1, 2, 3].into()));
    assert_eq!(config.data_dir, Path::new("variable"));
    assert_eq!(config.media.shards.get(), 3);
    assert_eq!(config.media.advertise.len(), 2);
    assert_eq!(config.media.publisher_silence, Duration::from_secs(7));
    assert!(config.auth.public_watch);
}

#[test]
fn every_problem_is_named_at_once_with_where_it_stands() {
    let text = "datadir = 'x'\n\n[media]\nshards = \"many\"\nmax_sessions = 0\n\n[http]\nlisten = 'localhost:8080'\nallowed_origins = ['https://a.example', 'A']\n";
    let vars = [
        ("REVERIE__LOG__FORMAT", "xml"),
        ("REVERIE__MEDIA__SHARD", "2"),
        ("REVERIE__PIPELINE__MAX_FPS", "fast"),
    ];
    assert_eq!(
        lines(text, vars),
        [
            "reverie.toml:1: `datadir` is not a key of Reverie; did you mean `data_dir`?",
            "REVERIE__MEDIA__SHARD: `media.shard` is not a variable of Reverie; did you mean `REVERIE__MEDIA__SHARDS`?",
            "reverie.toml:8: `http.listen` expected an IP address and port such as 127.0.0.1:8080, but found \"localhost:8080\"",
            "reverie.toml:9: `http.allowed_origins` expected an array, each item \"*\" or an origin in lower case such as https://example.org, but found \"A\"",
            "reverie.toml:4: `media.shards` expected an integer from 1 to 64, but found \"many\"",
            "reverie.toml:5: `media.max_sessions` expected an integer from 1 to 1000000, but found 0",
            "REVERIE__PIPELINE__MAX_FPS: `pipeline.max_fps` expected an integer from 1 to 240, but found \"fast\"",
            "REVERIE__LOG__FORMAT: `log.format` expected \"text\" or \"json\", but found \"xml\"",
        ]
    );
}

#[test]
fn a_problem_gives_its_parts_to_programs() {
    let errors: Errors = load(None, &env([("REVERIE__MEDIA__SHARDS", "65")])).unwrap_err();
    let [problem] = errors.problems() else {
        panic!("{errors}")
    };
    assert_eq!(problem.key.as_deref(), Some("media.shards"));
    assert_eq!(
        problem.origin,
        Origin::Variable("REVERIE__MEDIA__SHARDS".into())
    );
    assert_eq!(
        problem.message,
        "expected an integer from 1 to 64, but found \"65\""
    );
}

#[test]
fn a_wrong_value_in_the_file_is_told_even_where_a_variable_covers_it() {
    assert_eq!(
        lines("[media]\nshards = 99", [("REVERIE__MEDIA__SHARDS", "2")]),
        ["reverie.toml:2: `media.shards` expected an integer from 1 to 64, but found 99"]
    );
}

#[test]
fn sections_keys_and_types_are_not_mixed_up() {
    assert_eq!(
        lines(
            "http = 3\n[auht]\nx = 1\n[log]\nlevel = 5\n[data_dir]\n[auth]\npublic_watch = 'true'",
            []
        ),
        [
            "reverie.toml:3: `auht.x` is not a key of Reverie",
            "reverie.toml:1: `http` is a section, not a key",
            "reverie.toml:6: `data_dir` expected a path, but found a table",
            "reverie.toml:8: `auth.public_watch` expected true or false, but found \"true\"",
            "reverie.toml:5: `log.level` expected a level or filter directives such as info,reverie_sfu=debug, but found 5",
        ]
    );
}

#[test]
fn a_variable_in_the_wrong_case_is_not_taken_silently() {
    assert_eq!(
        lines("", [("REVERIE__http__LISTEN", "127.0.0.1:1")]),
        [
            "REVERIE__http__LISTEN: `http.listen` is not a variable of Reverie; did you mean `REVERIE__HTTP__LISTEN`?"
        ]
    );
}

#[test]
fn a_broken_file_does_not_hide_wrong_variables() {
    let lines = lines(
        "[http\nlisten = 1",
        [
            ("REVERIE__MEDIA__SHARDS", "0"),
            ("REVERIE__HTTP__LISTEN", "0.0.0.0:80"),
        ],
    );
    assert!(
        lines[0].starts_with("reverie.toml:1: is not TOML: "),
        "{lines:?}"
    );
    assert_eq!(
        lines.last().unwrap(),
        "REVERIE__MEDIA__SHARDS: `media.shards` expected an integer from 1 to 64, but found \"0\""
    );
}

#[test]
fn a_missing_file_is_named() {
    let errors = load(Some(Path::new("/nowhere/reverie.toml")), &env([]))
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with("/nowhere/reverie.toml: cannot be read: "),
        "{errors}"
    );
}

#[test]
fn an_open_door_without_tokens_names_every_missing_key_and_its_variable() {
    let why = "`http.listen` is 0.0.0.0:8080 (reverie.toml:2), which other machines can reach";
    assert_eq!(
        lines("[http]\nlisten = '0.0.0.0:8080'", [("REVERIE__METRICS__LISTEN", "[::]:9090")]),
        [
            format!("default: `auth.publish_token` must be set because {why}: write it in the file or set REVERIE__AUTH__PUBLISH_TOKEN"),
            format!("default: `auth.control_token` must be set because {why}: write it in the file or set REVERIE__AUTH__CONTROL_TOKEN"),
            format!(
                "default: `auth.watch_token` must be set because {why}: write it in the file or set REVERIE__AUTH__WATCH_TOKEN, \
                 or let everybody watch with `auth.public_watch = true` or REVERIE__AUTH__PUBLIC_WATCH=true"
            ),
            "default: `auth.metrics_token` must be set because `metrics.listen` is [::]:9090 (REVERIE__METRICS__LISTEN), which other machines can \
             reach: write it in the file or set REVERIE__AUTH__METRICS_TOKEN"
                .to_owned(),
        ]
    );
}

#[test]
fn an_open_door_with_its_tokens_loads() {
    let tokens = format!("[auth]\npublish_token = '{TOKEN}-p'\ncontrol_token = '{TOKEN}-c'\n");
    let open = ("REVERIE__HTTP__LISTEN", "0.0.0.0:8080");
    assert!(load_text(&tokens, [open]).is_err());
    assert!(load_text(&tokens, [open, ("REVERIE__AUTH__PUBLIC_WATCH", "true")]).is_ok());
    let config = load_text(
        &tokens,
        [open, ("REVERIE__AUTH__WATCH_TOKEN", "watch-watch-watch")],
    )
    .unwrap();
    assert!(
        config
            .auth
            .watch_token
            .unwrap()
            .matches("watch-watch-watch")
    );
    assert!(
        config
            .auth
            .publish_token
            .unwrap()
            .matches(&format!("{TOKEN}-p"))
    );
}

#[test]
fn a_weak_token_is_refused_once_and_not_repeated() {
    let lines = lines(
        "[http]\nlisten = '0.0.0.0:80'",
        [
            ("REVERIE__AUTH__PUBLISH_TOKEN", "hunter2"),
            ("REVERIE__AUTH__CONTROL_TOKEN", TOKEN),
            ("REVERIE__AUTH__PUBLIC_WATCH", "true"),
        ],
    );
    assert_eq!(
        lines,
        [
            "REVERIE__AUTH__PUBLISH_TOKEN: `auth.publish_token` expected at least 16 characters of printable ASCII without spaces, but found 7 characters"
        ]
    );
}

#[test]
fn limits_that_contradict_are_refused() {
    assert_eq!(
        lines(
            "[moments]\ndefault_duration_s = 20\nmax_duration_s = 10\n[media]\nlisten = '0.0.0.0:65530'\nadvertise = ['0.0.0.0']",
            [("REVERIE__MEDIA__SHARDS", "7")]
        ),
        [
            "reverie.toml:2: `moments.default_duration_s` is 20 seconds, more than `moments.max_duration_s`, which is 10 (reverie.toml:3)",
            "reverie.toml:5: `media.listen` has port 65530, but `media.shards` is 7 (REVERIE__MEDIA__SHARDS), and the last of them would bind port 65536",
            "reverie.toml:6: `media.advertise` names 0.0.0.0, which no peer can send to",
        ]
    );
    let mapped = "[media]\nshards = 3\nadvertise = ['203.0.113.7:65534']";
    assert_eq!(
        lines(mapped, []),
        [
            "reverie.toml:3: `media.advertise` has port 65534, but `media.shards` is 3 (reverie.toml:2), and the last of them would be at port 65536"
        ]
    );
    let fits = load_text("[media]\nlisten = '0.0.0.0:65530'\nshards = 6", []);
    assert_eq!(fits.unwrap().media.listen.port(), 65530);
}

#[test]
fn a_heartbeat_that_may_be_late_once_is_needed() {
    assert_eq!(
        lines("[moments]\nlease_s = 6", []),
        [
            "default: `moments.heartbeat_s` is 3 seconds, not less than half of `moments.lease_s`, which is 6 (reverie.toml:2): one that is late would lose the lease"
        ]
    );
    let fits = load_text("[moments]\nlease_s = 7", []).unwrap();
    assert_eq!(fits.moments.lease.as_secs(), 7);
}

#[test]
fn the_url_of_a_store_is_one_of_postgres_and_shows_no_password() {
    let url = "postgres://reverie:opensesame@db.example/reverie";
    let config = load_text("", [("REVERIE__STORE__URL", url)]).unwrap();
    assert_eq!(config.store.url.as_ref().map(|url| url.reveal()), Some(url));
    assert!(!format!("{config:?}{}", config.render()).contains("opensesame"));
    let wrong = lines(
        "[store]\nurl = 'mysql://reverie:opensesame@db.example/reverie'",
        [],
    );
    assert_eq!(
        wrong,
        [
            "reverie.toml:2: `store.url` expected a URL such as postgres://user:password@host/database, but found 45 characters"
        ]
    );
}

#[test]
fn tokens_show_in_no_output() {
    let text = format!("[auth]\npublish_token = '{TOKEN}'");
    let config = load_text(&text, []).unwrap();
    for output in [
        format!("{config:?}"),
        format!("{config:#?}"),
        config.render(),
    ] {
        assert!(!output.contains(TOKEN), "{output}");
        assert!(output.contains("***"), "{output}");
    }
    assert!(
        config.render().contains("# watch_token is unset"),
        "{}",
        config.render()
    );
    assert!(load_text(&config.render(), []).is_err());
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn static_tokens_are_read_from_file_and_variable_and_shown_masked() {
    let text =
        format!("[auth]\ntokens = ['publish:lobby:{TOKEN}', 'watch:*:{TOKEN}-w:2027-01-31']");
    let config = load_text(&text, []).unwrap();
    let [publish, watch] = &config.auth.tokens[..] else {
        panic!("{config:?}")
    };
    assert!(publish.secret.matches(TOKEN) && publish.scope.covers("lobby"));
    assert!(!publish.scope.covers("other") && watch.scope.covers("other"));
    let shown = config.render();
    let line = "tokens = [\"publish:lobby:***\", \"watch:*:***:2027-01-31\"]";
    assert!(shown.contains(line), "{shown}");
    assert!(!format!("{config:?}").contains(TOKEN));
    assert!(
        load_text(&shown, []).is_err(),
        "a masked token does not load"
    );
    let listed = format!("publish:a:{TOKEN}, publish:b:{TOKEN}-b");
    let config = load_text("", [("REVERIE__AUTH__TOKENS", &listed)]).unwrap();
    assert_eq!(config.auth.tokens.len(), 2);
}

#[test]
fn a_wrong_static_token_or_key_names_key_and_origin_and_not_itself() {
    let text = format!(
        "[auth]\ntoken_key = 'hunter2-hunter2-hunter2'\ntokens = ['publish:lobby:{TOKEN}', 'play:lobby:{TOKEN}']"
    );
    let told = lines(&text, []);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        "reverie.toml:2: `auth.token_key` expected at least 32 characters of printable ASCII without spaces, but found 23 characters"
    );
    assert!(
        told[1].starts_with("reverie.toml:3: `auth.tokens` expected an array, each item"),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("but found one whose first part is another role"),
        "{told:?}"
    );
    let one = lines("", [("REVERIE__AUTH__TOKEN_KEY", "short")]);
    assert!(
        one[0].starts_with("REVERIE__AUTH__TOKEN_KEY: `auth.token_key`"),
        "{one:?}"
    );
}

#[test]
fn a_key_for_tokens_stands_for_the_tokens_to_publish_and_to_watch() {
    let open = ("REVERIE__HTTP__LISTEN", "0.0.0.0:8080");
    let control = ("REVERIE__AUTH__CONTROL_TOKEN", TOKEN);
    let config = load_text("", [open, control, ("REVERIE__AUTH__TOKEN_KEY", KEY)]).unwrap();
    assert!(!format!("{config:?} {}", config.render()).contains(KEY));
    let publish = format!("publish:lobby:{TOKEN}-p");
    let told = lines("", [open, control, ("REVERIE__AUTH__TOKENS", &publish)]);
    assert!(
        told.len() == 1 && told[0].contains("`auth.watch_token` must be set"),
        "{told:?}"
    );
}

#[test]
fn https_needs_both_files() {
    let both = "[http.tls]\ncert = 'a.pem'\nkey = 'b.pem'\nhsts_max_age_s = 60";
    let config = load_text(both, []).unwrap();
    assert_eq!(config.http.tls.cert.as_deref(), Some(Path::new("a.pem")));
    assert_eq!(load_text(&config.render(), []), Ok(config));
    assert_eq!(
        lines("[http.tls]\ncert = 'a.pem'", []),
        ["reverie.toml:2: `http.tls.cert` is set and `http.tls.key` is not: HTTPS needs both"]
    );
    assert_eq!(
        lines("", [("REVERIE__HTTP__TLS__KEY", "b.pem")]),
        [
            "REVERIE__HTTP__TLS__KEY: `http.tls.key` is set and `http.tls.cert` is not: HTTPS needs both"
        ]
    );
    assert_eq!(load_text("[http.tls]\n", []), Ok(Config::default()));
}

#[test]
fn a_key_for_sessions_stands_for_all_three_tokens_and_registration_needs_it() {
    let open = ("REVERIE__HTTP__LISTEN", "0.0.0.0:8080");
    let session = ("REVERIE__AUTH__SESSION_KEY", KEY);
    let sealing = ("REVERIE__AUTH__SEALING_KEY", KEY);
    let registration = ("REVERIE__AUTH__REGISTRATION", "true");
    let config = load_text("", [open, session, sealing, registration]).unwrap();
    assert!(config.auth.registration);
    assert!(!format!("{config:?} {}", config.render()).contains(KEY));
    let told = lines("", [registration]);
    assert!(
        told.len() == 1 && told[0].contains("`auth.session_key` is not set"),
        "{told:?}"
    );
    let short = lines("", [open, ("REVERIE__AUTH__SESSION_KEY", "short")]);
    assert!(
        short.len() == 1 && short[0].contains("`auth.session_key` expected at least 32"),
        "{short:?}"
    );
}

#[test]
fn what_belongs_to_twitch_needs_the_application_or_the_extension_it_belongs_to() {
    let text = "[twitch]\nclient_secret = '0123456789abcdef'\nextension_owner_id = '7'";
    assert_eq!(
        lines(text, []),
        [
            "reverie.toml:2: `twitch.client_secret` is set and `twitch.client_id` is not: it is the application's",
            "reverie.toml:3: `twitch.extension_owner_id` is set and `twitch.extension_client_id` is not: it is the extension's",
        ]
    );
}

#[test]
fn twitch_is_set_by_file_and_variable_and_shown_masked() {
    let secrets =
        "a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleQ==,a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleS0=";
    let text = "[twitch]\nextension_client_id = 'abc'\nproducts = ['rain:100:15', 'snow:200:30:debug-invert']";
    let config = load_text(text, [("REVERIE__TWITCH__EXTENSION_SECRETS", secrets)]).unwrap();
    assert_eq!(config.twitch.extension_secrets.len(), 2);
    assert_eq!(config.twitch.products[1].bits, 200);
    let shown = config.render();
    assert!(!shown.contains("a2V5"), "{shown}");
    assert!(
        shown.contains("extension_secrets = [\"***\", \"***\"]"),
        "{shown}"
    );
    assert!(load_text(&shown, []).is_err(), "a masked secret loads");
}
