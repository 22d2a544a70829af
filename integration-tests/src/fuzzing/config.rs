//! Configuration: the text of a file, then after a NUL one variable per line.

use std::collections::BTreeMap;
use std::path::Path;

use reverie_config::Config;

/// Every text gives a configuration or reasons; what is in force can be printed and read back.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, variables) = text.split_once('\0').unwrap_or((&text, ""));
    let variables: BTreeMap<_, _> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let path = Path::new("fuzz.toml");
    match reverie_config::parse(path, file, &variables) {
        Ok(config) => reads_back(&config),
        Err(errors) => {
            assert!(!errors.problems().is_empty(), "refused without a reason");
            assert!(!errors.to_string().is_empty(), "refused without words");
        }
    }
}

fn reads_back(config: &Config) {
    let shown = config.render();
    // Masked secrets are no secrets.
    if shown.contains("***") {
        return;
    }
    let none = BTreeMap::<String, String>::new();
    match reverie_config::parse(Path::new("shown.toml"), &shown, &none) {
        Ok(again) => assert_eq!(&again, config, "printed and read back:\n{shown}"),
        Err(errors) => panic!("what is in force cannot be read back: {errors}\n{shown}"),
    }
}
