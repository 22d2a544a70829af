//! The known name an unknown one was probably meant to be.

/// The closest of the known names, when it is close enough to be a slip of the hand.
#[must_use]
pub fn closest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (unknown.chars().count() / 4).max(2);
    known
        .map(|name| (distance(unknown, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// How many characters must be inserted, removed or replaced (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_single_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("http.listen", "http.listen"), 0);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = || ["http.listen", "media.listen", "media.shards"].into_iter();
        assert_eq!(closest("http.lisen", known()), Some("http.listen"));
        assert_eq!(closest("media.shard", known()), Some("media.shards"));
        assert_eq!(closest("colour", known()), None);
    }
}
