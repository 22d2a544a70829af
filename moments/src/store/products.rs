//! What each channel offers, and what it costs.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Error, Store};
use crate::life::Ms;
use crate::life::Refused;

/// The most products of a channel.
pub const MAX_PRODUCTS: usize = 50;

/// Something that a viewer can pay for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name at the service that takes the money (SKU), which a channel has once.
    pub sku: String,
    /// Its name for people.
    pub name: String,
    /// Its price, in Bits or credits; 0 is free.
    pub price: i64,
    /// For how long its moment is shown; more than 0.
    pub duration: Ms,
    /// What shows it; the channel's own when unset.
    pub pipeline: Option<String>,
    /// Parameters that the pipeline is given, as JSON that the store does not look into.
    pub params: String,
}

/// Everything a channel offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// In the channel's order.
    pub products: Vec<Product>,
    /// Counts its changes; 0 while the channel never set it, and offers what its server does.
    pub version: i64,
}

impl Store {
    /// What the channel offers. One that has never set it, and one that is not there, offers nothing at version 0.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn catalogue(&self, channel: &str) -> Result<Catalogue, Error> {
        // One statement, so that version and products are of one time.
        let rows = sqlx::query(
            "SELECT c.version, p.sku, p.name, p.price, p.duration_ms, p.pipeline, p.params
             FROM catalogues c LEFT JOIN products p ON p.channel_id = c.channel_id
             WHERE c.channel_id = $1 ORDER BY p.place",
        )
        .bind(channel)
        .fetch_all(&self.pool)
        .await?;
        let version = rows.first().map_or(Ok(0), |row| row.try_get("version"))?;
        let products = rows.iter().map(product).filter_map(Result::transpose);
        Ok(Catalogue {
            products: products.collect::<Result<_, _>>()?,
            version,
        })
    }

    /// Sets what the channel offers, if its catalogue still has the version that the caller has seen, and gives back the new
    /// one. Moments that were asked for keep what they were asked for at.
    ///
    /// # Errors
    /// `None` instead of a version when it has not. When there is no such channel, or a product is there twice or cannot be
    /// sold.
    pub async fn set_catalogue(
        &self,
        now: Ms,
        channel: &str,
        products: &[Product],
        version: i64,
    ) -> Result<Option<i64>, Error> {
        check(products)?;
        let mut tx = self.change(now, channel).await?;
        let found: Option<i64> =
            sqlx::query_scalar("SELECT version FROM catalogues WHERE channel_id = $1")
                .bind(channel)
                .fetch_optional(&mut *tx.sql)
                .await?;
        if found.unwrap_or(0) != version {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO catalogues(channel_id, version, updated_at) VALUES($1, $2, $3)
             ON CONFLICT(channel_id) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at",
        )
        .bind(channel)
        .bind(version + 1)
        .bind(now)
        .execute(&mut *tx.sql)
        .await?;
        sqlx::query("DELETE FROM products WHERE channel_id = $1")
            .bind(channel)
            .execute(&mut *tx.sql)
            .await?;
        for (place, product) in (0_i64..).zip(products) {
            sqlx::query(
                "INSERT INTO products(channel_id, sku, place, name, price, duration_ms, pipeline, params)
                 VALUES($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(channel)
            .bind(product.sku.as_str())
            .bind(place)
            .bind(product.name.as_str())
            .bind(product.price)
            .bind(product.duration)
            .bind(product.pipeline.as_deref())
            .bind(product.params.as_str())
            .execute(&mut *tx.sql)
            .await?;
        }
        let data = serde_json::json!({ "products": version + 1 });
        tx.event("settings.changed", None, data).await?;
        tx.commit().await?;
        Ok(Some(version + 1))
    }
}

fn check(products: &[Product]) -> Result<(), Refused> {
    let wrong = |sku: &str, why| {
        Err(Refused::Product {
            sku: sku.chars().take(80).collect(),
            why,
        })
    };
    if let Some(extra) = products.get(MAX_PRODUCTS) {
        return wrong(&extra.sku, "is one too many; 50 are accepted");
    }
    for (at, product) in products.iter().enumerate() {
        if products[..at].iter().any(|other| other.sku == product.sku) {
            return wrong(&product.sku, "is there twice");
        }
        if product.price < 0 {
            return wrong(&product.sku, "costs less than nothing");
        }
        if product.duration <= 0 {
            return wrong(&product.sku, "has no duration");
        }
    }
    Ok(())
}

/// `None` for the row of a catalogue that is empty.
fn product(row: &AnyRow) -> Result<Option<Product>, Error> {
    let Some(sku) = row.try_get("sku")? else {
        return Ok(None);
    };
    Ok(Some(Product {
        sku,
        name: row.try_get("name")?,
        price: row.try_get("price")?,
        duration: row.try_get("duration_ms")?,
        pipeline: row.try_get("pipeline")?,
        params: row.try_get("params")?,
    }))
}
