//! The section `twitch`: the application and the extension that Twitch knows this server by, and where Twitch is.

use crate::kind::{Each, Kind, Maybe, Parsed, Text, Token, masked};
use crate::product::{FORM, Product};
use crate::raw::Raw;
use crate::secret::Secret;
use crate::visit::Visitor;

/// The section `twitch`. Each part works as soon as its own keys are set; with none, nothing is asked of Twitch.
#[derive(Clone, Debug, PartialEq)]
pub struct Twitch {
    /// The application's client id.
    pub client_id: Option<String>,
    /// The application's client secret.
    pub client_secret: Option<Secret>,
    /// The extension's client id, which its receipts name.
    pub extension_client_id: Option<String>,
    /// The extension's client secret, by which its payments are asked for; `client_secret` when both have one client id.
    pub extension_client_secret: Option<Secret>,
    /// The extension's shared secrets, base64 as Twitch shows them. While one is exchanged several are good; the first signs.
    pub extension_secrets: Vec<Secret>,
    /// The user id of the extension's owner, in whose name pokes are sent.
    pub extension_owner_id: Option<String>,
    /// What EventSub signs its notifications with; 16 to 100 characters.
    pub eventsub_secret: Option<Secret>,
    /// Where Twitch and browsers reach this server, without a slash at its end.
    pub public_url: Option<String>,
    /// The user id of the bot that writes in chats; the streamer does when unset.
    pub bot_user_id: Option<String>,
    /// Where Twitch's API is, without a slash at its end.
    pub helix_url: String,
    /// Where Twitch's OAuth is, without a slash at its end.
    pub id_url: String,
    /// What channels offer that have set no products of their own.
    pub products: Vec<Product>,
}

impl Twitch {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("twitch.client_id", &mut self.client_id, Maybe(ID));
        visitor.key("twitch.client_secret", &mut self.client_secret, Token);
        visitor.key(
            "twitch.extension_client_id",
            &mut self.extension_client_id,
            Maybe(ID),
        );
        visitor.key(
            "twitch.extension_client_secret",
            &mut self.extension_client_secret,
            Token,
        );
        visitor.key(
            "twitch.extension_secrets",
            &mut self.extension_secrets,
            Each(Base64),
        );
        visitor.key(
            "twitch.extension_owner_id",
            &mut self.extension_owner_id,
            Maybe(USER),
        );
        visitor.key("twitch.eventsub_secret", &mut self.eventsub_secret, Token);
        visitor.key("twitch.public_url", &mut self.public_url, Maybe(URL));
        visitor.key("twitch.bot_user_id", &mut self.bot_user_id, Maybe(USER));
        visitor.key("twitch.helix_url", &mut self.helix_url, URL);
        visitor.key("twitch.id_url", &mut self.id_url, URL);
        visitor.key("twitch.products", &mut self.products, Each(Parsed(FORM)));
    }
}

impl Default for Twitch {
    fn default() -> Self {
        Self {
            client_id: None,
            client_secret: None,
            extension_client_id: None,
            extension_client_secret: None,
            extension_secrets: Vec::new(),
            extension_owner_id: None,
            eventsub_secret: None,
            public_url: None,
            bot_user_id: None,
            helix_url: "https://api.twitch.tv/helix".to_owned(),
            id_url: "https://id.twitch.tv/oauth2".to_owned(),
            products: Vec::new(),
        }
    }
}

const ID: Text = Text {
    expected: "a client id, 1 to 64 of a-z, A-Z and 0-9",
    check: |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    },
};

const USER: Text = Text {
    expected: "the number of a user, not a name",
    check: |text| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
};

const URL: Text = Text {
    expected: "a URL with http or https and without a slash at its end",
    check: crate::models::is_endpoint,
};

/// A secret that is base64 of 24 bytes or more, padded or not.
struct Base64;

impl Kind<Secret> for Base64 {
    fn expected(&self) -> String {
        "base64 of at least 24 bytes".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Secret, String> {
        let text = raw.text().filter(|text| is_base64(text));
        let secret = text.and_then(|text| Secret::new(text).ok());
        secret.ok_or_else(|| masked(raw))
    }

    fn show(&self, value: &Secret) -> Option<String> {
        Some(crate::kind::literal(&value.to_string()))
    }
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    // One digit of four says nothing; padding fills up to four or is left out.
    let whole =
        digits.len() % 4 != 1 && (padding == 0 || (padding <= 2 && text.len().is_multiple_of(4)));
    digits.len() >= 32 && digits.bytes().all(legal) && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleQ==";

    #[test]
    fn a_secret_of_the_extension_is_base64() {
        for good in [GOOD, GOOD.trim_end_matches('=')] {
            assert!(is_base64(good), "{good}");
        }
        for bad in [
            "",
            "a2V5",
            &GOOD.replace('k', "-"),
            &GOOD[..41],
            &format!("{GOOD}="),
            &format!("={GOOD}"),
        ] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn a_wrong_secret_of_the_extension_is_not_repeated() {
        let found = Base64
            .read(&Raw::Text("hunter2-hunter2-hunter2".into()))
            .unwrap_err();
        assert_eq!(found, "23 characters");
    }
}
