//! Static tokens that open one door of one channel: `publish:lobby:TOKEN:2027-01-31`.

use std::fmt;

use time::{Date, Month};

use crate::kind::{Kind, literal};
use crate::raw::Raw;
use crate::secret::Secret;

/// What [`StaticToken`]s look like, in words for messages and for the reference.
pub(crate) const FORM: &str = "\"publish\" or \"watch\", a channel or *, and a token of at least 16 characters without spaces, commas and colons, \
     with a colon between, and, if it expires, a colon and its last day (UTC) as in 2027-01-31";

/// What a WHIP or WHEP token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// To send a picture (WHIP), and to look at the channel's state.
    Publish,
    /// To watch (WHEP), and to look at the channel's state.
    Watch,
}

/// The channels a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every channel; written `*`.
    All,
    /// The channel of this name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    Channel(String),
}

/// An entry of `auth.tokens`.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticToken {
    /// What it allows.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// The token itself.
    pub secret: Secret,
    /// The last day on which it is taken, in UTC; `None` is for ever.
    pub last_day: Option<Day>,
}

/// A day of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

/// An array of [`StaticToken`]s. What is wrong with one never repeats it.
pub(crate) struct Tokens;

impl Role {
    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "publish" => Some(Self::Publish),
            "watch" => Some(Self::Watch),
            _ => None,
        }
    }

    /// Its name in tokens and configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Watch => "watch",
        }
    }
}

impl Scope {
    /// Reads `*` or the name of a channel.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        match name {
            "*" => Some(Self::All),
            name if (1..=64).contains(&name.len()) && name.bytes().all(legal) => {
                Some(Self::Channel(name.to_owned()))
            }
            _ => None,
        }
    }

    /// Whether the channel is among them.
    #[must_use]
    pub fn covers(&self, channel: &str) -> bool {
        match self {
            Self::All => true,
            Self::Channel(name) => name == channel,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Channel(name) => f.write_str(name),
        }
    }
}

impl Day {
    /// Reads `2027-01-31`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |part: &str, count| {
            part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) || parts.next().is_some() {
            return None;
        }
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?)
            .ok()
            .map(Self)
    }

    /// The first second that is no longer part of it, counted from 1970; 0 for days before that.
    #[must_use]
    pub fn end_s(self) -> u64 {
        let begin = self.0.midnight().assume_utc().unix_timestamp();
        u64::try_from(begin + 86_400).unwrap_or(0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.0.year(), u8::from(self.0.month()), self.0.day());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl StaticToken {
    /// Reads `role:channel:token` and perhaps `:day`; the error says which part is wrong, without the token.
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (role, scope, token, day) = match parts[..] {
            [role, scope, token] => (role, scope, token, None),
            [role, scope, token, day] => (role, scope, token, Some(day)),
            _ => return Err(format!("one with {} colons", parts.len() - 1)),
        };
        Ok(Self {
            role: Role::named(role).ok_or("one whose first part is another role")?,
            scope: Scope::named(scope).ok_or("one whose second part is no channel")?,
            secret: Secret::new(token)
                .ok()
                .filter(|_| !token.contains(','))
                .ok_or_else(|| format!("one whose token has {} characters", token.len()))?,
            last_day: match day {
                None => None,
                Some(day) => Some(Day::parse(day).ok_or("one whose last part is no day")?),
            },
        })
    }

    fn show(&self) -> String {
        let Self {
            role,
            scope,
            secret,
            last_day,
        } = self;
        let end = last_day.map(|day| format!(":{day}")).unwrap_or_default();
        format!("{}:{scope}:{secret}{end}", role.name())
    }
}

impl Kind<Vec<StaticToken>> for Tokens {
    fn expected(&self) -> String {
        format!("an array, each item {FORM}")
    }

    fn read(&self, raw: &Raw) -> Result<Vec<StaticToken>, String> {
        let items = raw.items().ok_or("another type than an array")?;
        let read = |item: &Raw| {
            let text = item.text().ok_or("an item that is no string")?;
            StaticToken::parse(text)
        };
        items.iter().map(read).collect()
    }

    fn show(&self, value: &Vec<StaticToken>) -> Option<String> {
        let items: Vec<_> = value.iter().map(|token| literal(&token.show())).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    #[test]
    fn a_day_is_read_strictly_and_ends_at_midnight_utc() {
        let day = Day::parse("2027-01-31").unwrap();
        assert_eq!(day.to_string(), "2027-01-31");
        // `date -u -d 2027-02-01 +%s`
        assert_eq!(day.end_s(), 1_801_440_000);
        assert_eq!(Day::parse("1900-01-01").unwrap().end_s(), 0);
        for bad in [
            "",
            "2027-1-31",
            "2027-02-29",
            "2027-13-01",
            "27-01-31",
            "2027-01-31-",
            "+027-01-31",
        ] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_static_token_is_read_and_shown_without_its_secret() {
        let token = StaticToken::parse(&format!("publish:lobby:{TOKEN}:2027-01-31")).unwrap();
        assert_eq!(token.role, Role::Publish);
        assert_eq!(token.scope, Scope::Channel("lobby".into()));
        assert!(token.secret.matches(TOKEN));
        assert_eq!(token.show(), "publish:lobby:***:2027-01-31");
        let everywhere = StaticToken::parse(&format!("watch:*:{TOKEN}")).unwrap();
        assert!(everywhere.scope.covers("any") && everywhere.last_day.is_none());
        assert!(
            StaticToken::parse(&everywhere.show()).is_err(),
            "a masked one does not load"
        );
    }

    #[test]
    fn what_is_wrong_with_a_static_token_is_said_without_it() {
        for (text, says) in [
            (TOKEN.to_owned(), "0 colons"),
            (format!("control:a:{TOKEN}"), "another role"),
            (format!("publish:a b:{TOKEN}"), "no channel"),
            ("publish:a:battery".to_owned(), "7 characters"),
            (format!("publish:a:{TOKEN}:tomorrow"), "no day"),
            (format!("publish:a:{TOKEN}:2027-01-31:x"), "4 colons"),
        ] {
            let found = Tokens.read(&Raw::List(vec![Raw::Text(text)])).unwrap_err();
            assert!(
                found.contains(says) && !found.contains("battery"),
                "{found}"
            );
        }
    }
}
