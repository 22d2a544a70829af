//! What a channel offers: what it set, or what the configuration says for all.

use reverie_config as config;
use reverie_moments::life::Ms;
use reverie_moments::store::{Catalogue, Error, Product, Store};

/// What the channel offers now.
pub(crate) async fn offered(
    store: &Store,
    config: &config::Twitch,
    channel: &str,
) -> Result<Catalogue, Error> {
    let mut catalogue = store.catalogue(channel).await?;
    if catalogue.version == 0 {
        catalogue.products = config.products.iter().map(product).collect();
    }
    Ok(catalogue)
}

/// Only the default has no name of its own.
fn product(product: &config::Product) -> Product {
    Product {
        sku: product.sku.clone(),
        name: product.sku.clone(),
        price: i64::from(product.bits),
        duration: Ms::try_from(product.duration.as_millis()).unwrap_or(Ms::MAX),
        pipeline: product.pipeline.clone(),
        params: "{}".to_owned(),
    }
}
