//! ICE credentials that the other side may give (RFC 8839, section 5.4).

/// Longest STUN user name that str0m writes; it asserts this.
const MAX_USER_NAME: usize = 128;

/// Refuses credentials in an offer or a fragment that no check could carry: a check names `theirs:ours`.
pub(crate) fn check(text: &str, ours: &str) -> Result<(), String> {
    let most = MAX_USER_NAME - 1 - ours.len().min(MAX_USER_NAME - 1);
    let too_long = text
        .lines()
        .filter_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .map(|ufrag| ufrag.trim_end().len())
        .find(|length| *length > most);
    too_long.map_or(Ok(()), |length| {
        Err(format!(
            "its a=ice-ufrag has {length} bytes; accepted are at most {most}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_fragment_may_be_as_long_as_a_check_can_carry() {
        let offer = |length| format!("v=0\r\na=ice-ufrag:{}\r\n", "u".repeat(length));
        assert_eq!(check(&offer(4), "serverufrag"), Ok(()));
        assert_eq!(check(&offer(116), "serverufrag"), Ok(()));
        let refused = check(&offer(117), "serverufrag").expect_err("128 bytes and the colon");
        assert!(refused.contains("117"), "{refused}");
        assert_eq!(check("", &"u".repeat(200)), Ok(()));
    }
}
