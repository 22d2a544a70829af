//! Logs: to standard error, as text or JSON.

use std::io::IsTerminal;

use reverie_config::{Format, Log};
use tracing_subscriber::EnvFilter;

/// `log.level` is not a filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "`log.level` = {level:?} is not a filter such as \"info\" or \"info,reverie_sfu=debug\": {error}"
)]
pub(crate) struct BadFilter {
    level: String,
    error: tracing_subscriber::filter::ParseError,
}

/// Starts logging for the whole process; a second call changes nothing.
///
/// # Errors
///
/// If the level cannot be read.
pub(crate) fn start(config: &Log) -> Result<(), BadFilter> {
    let filter = filter(config)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Fails only if a logger is already there.
    let _ = match config.format {
        Format::Json => builder.json().try_init(),
        _ => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
    };
    Ok(())
}

/// Reads `log.level`.
///
/// # Errors
///
/// If it is no filter.
pub(crate) fn filter(config: &Log) -> Result<EnvFilter, BadFilter> {
    EnvFilter::try_new(&config.level).map_err(|error| BadFilter {
        level: config.level.clone(),
        error,
    })
}
