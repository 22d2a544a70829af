//! Walks a table of codec back ends until one opens.

use std::fmt;

use tracing::warn;

/// One way to get a codec: `open` is tried when `wanted` says that the configuration allows it.
pub(crate) struct Candidate<C, T: ?Sized> {
    pub(crate) name: &'static str,
    pub(crate) wanted: fn(&C) -> bool,
    pub(crate) open: fn(&C) -> Result<Box<T>, String>,
}

/// Why one back end did not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the back end.
    pub backend: &'static str,
    /// What it said.
    pub reason: String,
}

/// Every back end that was tried in vain, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none was tried");
        }
        for (index, Refusal { backend, reason }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{backend}: {reason}")?;
        }
        Ok(())
    }
}

/// The first wanted candidate that opens; one that stands behind a refusal is logged.
pub(crate) fn first<C, T: ?Sized>(
    candidates: &[Candidate<C, T>],
    config: &C,
) -> Result<Box<T>, Refusals> {
    let mut refused = Refusals::default();
    for candidate in candidates
        .iter()
        .filter(|candidate| (candidate.wanted)(config))
    {
        match (candidate.open)(config) {
            Ok(opened) => {
                if !refused.0.is_empty() {
                    warn!(backend = candidate.name, %refused, "fell back to a later codec");
                }
                return Ok(opened);
            }
            Err(reason) => refused.0.push(Refusal {
                backend: candidate.name,
                reason,
            }),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Candidate<bool, str>; 3] = [
        Candidate {
            name: "fast",
            wanted: |_| true,
            open: |_| Err("no device".into()),
        },
        Candidate {
            name: "odd",
            wanted: |&odd| odd,
            open: |_| Ok("odd".into()),
        },
        Candidate {
            name: "slow",
            wanted: |_| true,
            open: |_| Ok("slow".into()),
        },
    ];

    #[test]
    fn the_first_wanted_candidate_that_opens_is_taken() {
        assert_eq!(&*first(&TABLE, &true).unwrap(), "odd");
        assert_eq!(&*first(&TABLE, &false).unwrap(), "slow");
    }

    #[test]
    fn every_refusal_is_remembered() {
        let refused = first(&TABLE[..1], &true).unwrap_err();
        assert_eq!(refused.to_string(), "fast: no device");
        assert_eq!(
            first(&TABLE[..0], &true).unwrap_err().to_string(),
            "none was tried"
        );
    }
}
