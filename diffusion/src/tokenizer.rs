//! Prompts to tokens, as `CLIPTokenizer` of transformers does it: byte-level pair encoding (Sennrich et al. 2016) of
//! lower-cased words.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use regex::Regex;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use crate::Error;
use crate::folder::Folder;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// CLIP's; files that say otherwise name a number beyond any model's.
const LENGTH: usize = 77;
/// The original reads so many merges and no more.
const MERGES: usize = 49_152 - 256 - 2;

/// The tokenizer of one text encoder.
#[derive(Debug)]
pub struct Tokenizer {
    vocab: HashMap<String, i64>,
    /// Pairs of pieces and how early they are merged.
    ranks: HashMap<(String, String), usize>,
    /// Tokens that are looked for before the text is cut into words, the longest first.
    added: Vec<(String, i64)>,
    words: Regex,
    control: Regex,
    space: Regex,
    start: i64,
    end: i64,
    pad: i64,
    unknown: i64,
    length: usize,
}

/// What is used of `tokenizer_config.json` and `special_tokens_map.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    bos_token: Option<Token>,
    eos_token: Option<Token>,
    unk_token: Option<Token>,
    pad_token: Option<Token>,
    added_tokens_decoder: Option<BTreeMap<String, Token>>,
    model_max_length: Option<serde_json::Number>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Plain(String),
    Described { content: String },
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Described { content: text } => text,
        }
    }
}

impl Settings {
    fn read(folder: &Folder) -> Result<Self, Error> {
        let mut settings: Self = optional(folder, "tokenizer_config.json")?;
        // Newer files say all in the first one.
        if settings.added_tokens_decoder.is_none() {
            let map: Self = optional(folder, "special_tokens_map.json")?;
            settings.bos_token = map.bos_token.or(settings.bos_token);
            settings.eos_token = map.eos_token.or(settings.eos_token);
            settings.unk_token = map.unk_token.or(settings.unk_token);
            settings.pad_token = map.pad_token.or(settings.pad_token);
        }
        Ok(settings)
    }
}

fn optional<T: Default + serde::de::DeserializeOwned>(
    folder: &Folder,
    name: &str,
) -> Result<T, Error> {
    match folder.path().join(name).exists() {
        true => folder.json(name),
        false => Ok(T::default()),
    }
}

impl Tokenizer {
    /// Reads `vocab.json` and `merges.txt`, and where they are there `tokenizer_config.json`,
    /// `special_tokens_map.json` and `added_tokens.json`.
    ///
    /// # Errors
    /// When a file cannot be read or is not what its name says, or a special token is not in the vocabulary.
    pub fn load(folder: &Folder) -> Result<Self, Error> {
        let settings = Settings::read(folder)?;
        let vocab: HashMap<String, i64> = folder.json("vocab.json")?;
        let mut added: HashMap<String, i64> = optional(folder, "added_tokens.json")?;
        for (id, token) in settings.added_tokens_decoder.iter().flatten() {
            let id = id.parse().map_err(|_| {
                let path = folder.path().join("tokenizer_config.json");
                Error::unsupported(
                    &path,
                    "added_tokens_decoder",
                    format!("{id:?} is no number"),
                )
            })?;
            added.insert(token.text().to_owned(), id);
        }
        let mut special = |token: &Option<Token>, default: &str| {
            let text = token.as_ref().map_or(default, Token::text);
            let id = added.get(text).or_else(|| vocab.get(text)).copied();
            let id = id.ok_or_else(|| {
                let path = folder.path().join("vocab.json");
                Error::malformed(&path, format!("the special token {text:?} is not in it"))
            })?;
            added.insert(text.to_owned(), id);
            Ok(id)
        };
        let (start, end) = (
            special(&settings.bos_token, START)?,
            special(&settings.eos_token, END)?,
        );
        let (pad, unknown) = (
            special(&settings.pad_token, END)?,
            special(&settings.unk_token, END)?,
        );
        let mut added: Vec<_> = added
            .into_iter()
            .filter(|(text, _)| !text.is_empty())
            .collect();
        added.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Ok(Self {
            vocab,
            ranks: read_merges(folder)?,
            added,
            words: Regex::new(
                r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
            )
            .expect("the pattern is right"),
            control: Regex::new(r"^[\p{C}\u{FFFD}--[\t\n\r]]$").expect("the pattern is right"),
            space: Regex::new(r"[\t\n\r\p{Zs}]").expect("the pattern is right"),
            start,
            end,
            pad,
            unknown,
            length: settings
                .model_max_length
                .and_then(|number| usize::try_from(number.as_u64()?).ok())
                .filter(|length| (2..=1024).contains(length))
                .unwrap_or(LENGTH),
        })
    }

    /// The tokens of a prompt: the start, the words, the end, and padding up to [`Tokenizer::length`]. What is too long
    /// is cut.
    #[must_use]
    pub fn encode(&self, prompt: &str) -> Vec<i64> {
        let mut ids = vec![self.start];
        self.push_text(prompt, &mut ids);
        ids.truncate(self.length - 1);
        ids.push(self.end);
        ids.resize(self.length, self.pad);
        ids
    }

    /// One more than the greatest token: how many rows the table of embeddings needs.
    #[must_use]
    pub fn size(&self) -> i64 {
        let added = self.added.iter().map(|(_, id)| id);
        self.vocab
            .values()
            .chain(added)
            .max()
            .map_or(0, |id| id + 1)
    }

    /// How many tokens [`Tokenizer::encode`] gives.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Cuts out added tokens, as they are written, and encodes what is between them.
    fn push_text(&self, text: &str, ids: &mut Vec<i64>) {
        let mut from = 0;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let found = self.added.iter().find(|(token, _)| rest.starts_with(token));
            at += match found {
                Some((token, id)) => {
                    self.push_words(&text[from..at], ids);
                    ids.push(*id);
                    from = at + token.len();
                    token.len()
                }
                None => rest.chars().next().map_or(1, char::len_utf8),
            };
        }
        self.push_words(&text[from..], ids);
    }

    fn push_words(&self, text: &str, ids: &mut Vec<i64>) {
        for word in self.words.find_iter(&self.clean(text)) {
            if ids.len() >= self.length {
                return;
            }
            self.push_word(word.as_str(), ids);
        }
    }

    /// Without control characters, ideographs apart from each other, in composed form, lower case, words one blank
    /// apart.
    fn clean(&self, text: &str) -> String {
        let mut spaced = String::with_capacity(text.len());
        let mut buffer = [0; 4];
        for letter in text.chars() {
            let one = letter.encode_utf8(&mut buffer);
            if self.control.is_match(one) {
                continue;
            }
            if self.space.is_match(one) {
                spaced.push(' ');
            } else if is_ideograph(letter) {
                spaced.extend([' ', letter, ' ']);
            } else {
                spaced.push(letter);
            }
        }
        let composed: String = spaced.nfc().collect();
        let words: Vec<_> = composed.split_whitespace().map(str::to_lowercase).collect();
        words.join(" ")
    }

    fn push_word(&self, word: &str, ids: &mut Vec<i64>) {
        let id = |piece: &str| self.vocab.get(piece).copied().unwrap_or(self.unknown);
        if [START, END].contains(&word) {
            ids.push(id(word));
        } else {
            ids.extend(self.pieces(word).iter().map(|piece| id(piece)));
        }
    }

    /// Merges neighbours, the earliest of `ranks` first, until no pair is in it.
    fn pieces(&self, word: &str) -> Vec<String> {
        let mut pieces: Vec<String> = word.bytes().map(|byte| letter(byte).to_string()).collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str("</w>");
        }
        while let Some(pair) = self.first_pair(&pieces) {
            let mut merged = Vec::with_capacity(pieces.len());
            let mut rest = pieces.into_iter().peekable();
            while let Some(mut piece) = rest.next() {
                if piece == pair.0
                    && let Some(next) = rest.next_if_eq(&pair.1)
                {
                    piece.push_str(&next);
                }
                merged.push(piece);
            }
            pieces = merged;
        }
        pieces
    }

    fn first_pair(&self, pieces: &[String]) -> Option<(String, String)> {
        pieces
            .windows(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .filter_map(|pair| Some((*self.ranks.get(&pair)?, pair)))
            .min()
            .map(|(_, pair)| pair)
    }
}

fn read_merges(folder: &Folder) -> Result<HashMap<(String, String), usize>, Error> {
    let path = folder.path().join("merges.txt");
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    // The first line is the version.
    let lines = text.trim().split('\n').skip(1).take(MERGES).enumerate();
    lines
        .map(|(rank, line)| {
            let mut parts = line.split_whitespace().map(str::to_owned);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(left), Some(right), None) => Ok(((left, right), rank)),
                _ => Err(Error::malformed(
                    &path,
                    format!("line {} is no pair", rank + 2),
                )),
            }
        })
        .collect()
}

/// The letter that stands for a byte in vocabulary and merges: itself where it can be seen, else one from U+0100 on.
fn letter(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if visible(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !visible(other)).count();
    u32::try_from(before)
        .ok()
        .and_then(|before| char::from_u32(0x100 + before))
        .expect("there are 68 of them")
}

/// The blocks of CJK ideographs that BERT's tokenizer takes for words of their own.
fn is_ideograph(letter: char) -> bool {
    matches!(letter,
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}'
        | '\u{2B820}'..='\u{2CEAF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{2F800}'..='\u{2FA1F}')
}
