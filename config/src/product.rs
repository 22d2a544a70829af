//! A product of the configuration: `rain:100:15` or `rain:100:15:debug-invert`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What [`Product`]s look like, in words for messages and for the reference.
pub(crate) const FORM: &str = "a name of 1 to 64 of a-z, A-Z, 0-9, _, - and ., its price in Bits from 0 to 10000, its whole seconds from 1 to 3600, \
     and, if it has one, its pipeline, with a colon between";

/// What a viewer can pay for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name at Twitch (SKU).
    pub sku: String,
    /// Its price in Bits; 0 is free.
    pub bits: u32,
    /// How long its moment lasts, in whole seconds.
    pub duration: Duration,
    /// What shows it; the channel's own pipeline when unset.
    pub pipeline: Option<String>,
}

/// A text that is no product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a product: {FORM}")]
pub struct NoProduct;

impl FromStr for Product {
    type Err = NoProduct;

    fn from_str(text: &str) -> Result<Self, NoProduct> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or(NoProduct);
        let (sku, bits, seconds) = (part()?, part()?, part()?);
        let pipeline = parts.next();
        let bits: u32 = bits.parse().map_err(|_| NoProduct)?;
        let seconds: u64 = seconds.parse().map_err(|_| NoProduct)?;
        let legal = is_sku(sku)
            && (0..=10_000).contains(&bits)
            && (1..=3600).contains(&seconds)
            && pipeline.is_none_or(is_pipeline)
            && parts.next().is_none();
        legal
            .then(|| Self {
                sku: sku.to_owned(),
                bits,
                duration: Duration::from_secs(seconds),
                pipeline: pipeline.map(str::to_owned),
            })
            .ok_or(NoProduct)
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.sku, self.bits, self.duration.as_secs())?;
        match &self.pipeline {
            Some(pipeline) => write!(f, ":{pipeline}"),
            None => Ok(()),
        }
    }
}

fn is_sku(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

fn is_pipeline(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_written_as_it_is_read() {
        for text in ["rain:100:15", "free:0:5", "rain_15.b:1:3600:debug-invert"] {
            assert_eq!(text.parse::<Product>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_sold_is_no_product() {
        for text in [
            "",
            "rain",
            "rain:100",
            ":100:15",
            "ra in:100:15",
            "rain:10001:15",
            "rain:-5:15",
            "rain:100:0",
            "rain:100:15:",
            "rain:100:15:X",
            "rain:100:15:a:b",
        ] {
            assert_eq!(text.parse::<Product>(), Err(NoProduct), "{text}");
        }
    }
}
