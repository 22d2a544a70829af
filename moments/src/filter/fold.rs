//! Text as it is read, rather than as it is written: without case, accents, letters that look like others, and characters nobody sees.

use unicode_normalization::UnicodeNormalization as _;

/// What `1`, `!` and `|` stand for: nobody knows which, so a text is folded once with each.
pub(super) const STROKES: [char; 2] = ['i', 'l'];

/// The words of a text.
pub(super) struct Folded {
    /// Letters between anything else, as in `b`, `a`, `d` for "b.a.d".
    pub(super) words: Vec<String>,
    /// What stands between white space, without anything but letters, as in `bad` for "b.a.d".
    pub(super) glued: Vec<String>,
}

impl Folded {
    pub(super) fn of(text: &str, stroke: char) -> Self {
        let chars = letters(text, stroke);
        let words = chars
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty());
        let glued = chars.split(char::is_whitespace).map(|part| {
            let letters = part.chars().filter(|c| c.is_alphanumeric());
            letters.collect::<String>()
        });
        Self {
            words: words.map(str::to_owned).collect(),
            glued: glued.filter(|word| !word.is_empty()).collect(),
        }
    }
}

/// Compatibility forms and accents taken apart, the accents dropped, the rest in lower case and in Latin where it looks so.
fn letters(text: &str, stroke: char) -> String {
    let plain: Vec<char> = text
        .nfkd()
        .filter(|c| !is_accent(*c) && !is_unseen(*c))
        .flat_map(char::to_lowercase)
        .map(latin)
        .collect();
    let is_letter = |at: usize| plain.get(at).is_some_and(|c| c.is_alphanumeric());
    let read = |(at, c): (usize, &char)| match c {
        '1' => stroke,
        // At the end of a word these are what they are.
        '!' | '|' if at > 0 && is_letter(at - 1) && is_letter(at + 1) => stroke,
        '+' if at > 0 && is_letter(at - 1) && is_letter(at + 1) => 't',
        c => digit(*c),
    };
    plain.iter().enumerate().map(read).collect()
}

fn digit(c: char) -> char {
    match c {
        '0' => 'o',
        '2' => 'z',
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' | '§' => 's',
        '6' | '9' => 'g',
        '7' => 't',
        '8' => 'b',
        c => c,
    }
}

/// The Latin letter that a Greek or Cyrillic one looks like, in lower case.
fn latin(c: char) -> char {
    match c {
        'α' | 'а' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'ε' | 'е' => 'e',
        'ɡ' => 'g',
        'һ' | 'н' => 'h',
        'ι' | 'і' | 'ı' => 'i',
        'ј' => 'j',
        'κ' | 'к' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'ο' | 'о' => 'o',
        'ρ' | 'р' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'τ' | 'т' => 't',
        'у' | 'γ' => 'y',
        'υ' => 'u',
        'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'χ' | 'х' => 'x',
        'ß' => 's',
        c => c,
    }
}

/// Marks over and under letters of any script; vowel signs, which are letters, are none.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE20}'..='\u{FE2F}')
}

/// Soft hyphens, joiners, fillers and tags.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether words of its script stand beside each other without anything between.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        Folded::of(text, 'i').words.join(" ")
    }

    #[test]
    fn case_accents_and_letters_that_look_alike_are_read_as_plain_ones() {
        assert_eq!(words("Café ÀLA crème"), "cafe ala creme");
        assert_eq!(words("ВАD вооk ραγ"), "bad book pay");
        assert_eq!(words("𝓑𝓪𝓭 ｂａｄ ⓑⓐⓓ"), "bad bad bad");
        assert_eq!(words("b\u{200D}a\u{AD}d"), "bad");
    }

    #[test]
    fn digits_and_signs_inside_words_are_letters() {
        assert_eq!(words("b4d h3ll0 $h!p @rt"), "bad hello ship art");
        assert_eq!(words("stop! 100 % | ok"), "stop ioo ok");
        assert_eq!(Folded::of("1ie", 'l').words, ["lie"]);
    }

    #[test]
    fn signs_between_letters_part_words_and_are_left_out() {
        let folded = Folded::of("b.a.d well-made", 'i');
        assert_eq!(folded.words, ["b", "a", "d", "well", "made"]);
        assert_eq!(folded.glued, ["bad", "wellmade"]);
    }
}
