//! `reverie token`: tokens for WHIP and WHEP, signed with `auth.token_key`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use reverie_config::{Config, Role, Scope, variable};

use super::{BAD_CONFIG, Source, complain, say, with_config};
use crate::auth::Grant;
use crate::auth::token::mint;
use crate::tls::time_of;

/// The longest life of a token.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

#[derive(Debug, Subcommand)]
pub(super) enum Mint {
    /// For sending a picture to a channel (WHIP), and looking at the channel's state.
    Publish(Wanted),
    /// For watching a channel (WHEP), and looking at its state.
    Watch(Wanted),
}

/// The token is a JWT signed with HS256 and the key `auth.token_key`, which the configuration (file or variable
/// REVERIE__AUTH__TOKEN_KEY) must have. Standard output gets the token alone; standard error says what is in it.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// The channel it is for, or '*' for every channel.
    #[arg(long, value_name = "NAME", value_parser = scope)]
    channel: Scope,
    /// How long it is good: a number with s, m, h or d, such as 90s, 15m, 12h or 30d; 3650d at most.
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = life)]
    ttl: Duration,
    /// Whom it is for. Tokens with the same subject may take over each other's stream at once; without one, those for the same
    /// role and channel may.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// Prints a token.
pub(super) fn run(wanted: &Mint) -> ExitCode {
    let (role, wanted) = match wanted {
        Mint::Publish(wanted) => (Role::Publish, wanted),
        Mint::Watch(wanted) => (Role::Watch, wanted),
    };
    with_config(wanted.source.config.as_deref(), |config| {
        signed(&config, role, wanted)
    })
}

fn signed(config: &Config, role: Role, wanted: &Wanted) -> ExitCode {
    let Some(key) = &config.auth.token_key else {
        let variable = variable("auth.token_key");
        complain(&format!(
            "`auth.token_key` is not set: write it in the file or set {variable}"
        ));
        return ExitCode::from(BAD_CONFIG);
    };
    let grant = Grant {
        role,
        scope: wanted.channel.clone(),
        subject: wanted.subject.clone(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.unwrap_or_default().as_secs();
    match mint(key, &grant, now_s, wanted.ttl) {
        Ok(minted) => {
            let ends = i64::try_from(minted.expires_s).unwrap_or(i64::MAX);
            complain(&format!("expires {}", time_of(ends)));
            complain(&format!("claims {}", minted.claims));
            say(&minted.token)
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::named(text)
        .ok_or_else(|| "a channel is 1 to 64 of A-Z a-z 0-9 _ -, or * for every one".to_owned())
}

fn life(text: &str) -> Result<Duration, String> {
    let seconds = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let parsed = text.char_indices().next_back().and_then(|(at, unit)| {
        let number: u64 = text[..at].parse().ok()?;
        number.checked_mul(seconds(unit)?).map(Duration::from_secs)
    });
    parsed
        .filter(|life| !life.is_zero() && *life <= LONGEST)
        .ok_or_else(|| "a time is a number with s, m, h or d, from 1s to 3650d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_number_with_its_unit() {
        assert_eq!(life("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(life("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(life("3650d"), Ok(LONGEST));
        for bad in [
            "",
            "12",
            "h",
            "0s",
            "-1h",
            "1.5h",
            "3651d",
            "12 h",
            "5é",
            "99999999999999999999d",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
