//! The payments that Twitch knows of, page by page: what nobody told this server while it was down.

use std::collections::HashSet;
use std::sync::Arc;

use reverie_moments::life::Ms;
use reverie_moments::store::{Error, Store};
use serde::Deserialize;
use serde_json::Value;

use super::app_token::App;
use super::eventsub::milliseconds;
use super::helix::Fault;
use super::payment::Payment;
use super::receipt::{BITS, domain};
use crate::metrics::Metrics;

/// How far back the first look goes.
const FIRST: Ms = 24 * 3600 * 1000;
/// How far every look goes back behind the one before: Twitch may list a payment late.
const OVERLAP: Ms = 10 * 60 * 1000;
/// The most pages of a look; more is a list that does not end.
const MAX_PAGES: usize = 10_000;
const PAGE: &str = "100";

/// Asks for the payments of one extension.
#[derive(Debug)]
pub(super) struct Transactions {
    app: Arc<App>,
    extension: String,
    metrics: Arc<Metrics>,
}

/// Why a look came to no end. The next one begins where this one did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Twitch(#[from] Fault),
    #[error(transparent)]
    Store(#[from] Error),
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
    #[serde(default)]
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
struct Pagination {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    timestamp: String,
    broadcaster_id: String,
    user_id: String,
    product_data: Product,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    domain: String,
    sku: String,
    cost: Cost,
    #[serde(default)]
    in_development: bool,
}

#[derive(Deserialize)]
struct Cost {
    amount: i64,
    r#type: String,
}

impl Transactions {
    pub(super) fn new(app: Arc<App>, extension: &str, metrics: &Arc<Metrics>) -> Self {
        Self {
            app,
            extension: extension.to_owned(),
            metrics: metrics.clone(),
        }
    }

    /// Looks through everything since the last look, and takes in what is not known.
    pub(super) async fn look(&self, store: &Store, now: Ms) -> Result<(), Broken> {
        let until = store.reconciled(BITS).await?.unwrap_or(now - FIRST);
        let horizon = until.saturating_sub(OVERLAP);
        let (mut newest, mut cursor, mut pages) = (until, None, HashSet::new());
        while pages.len() < MAX_PAGES {
            let page = self.page(cursor.as_deref()).await?;
            let listed = page.data.iter().filter_map(|listed| self.read(listed));
            let recent: Vec<Payment> = listed.filter(|payment| payment.at >= horizon).collect();
            let is_past = recent.is_empty();
            for payment in recent {
                newest = newest.max(payment.at);
                let taken = payment.take_in(store, &self.extension, now).await?;
                let counts = &self.metrics.twitch_payments;
                counts.with_label_values(&["asked", taken.name()]).inc();
            }
            // Newest first: behind a page of old ones there is nothing new. A cursor that comes again leads nowhere.
            let next = page.pagination.cursor.filter(|cursor| !cursor.is_empty());
            match next {
                Some(next) if !is_past && pages.insert(next.clone()) => cursor = Some(next),
                _ => break,
            }
        }
        store.set_reconciled(BITS, newest).await?;
        Ok(())
    }

    async fn page(&self, after: Option<&str>) -> Result<Page, Fault> {
        let mut query = vec![("extension_id", self.extension.as_str()), ("first", PAGE)];
        query.extend(after.map(|after| ("after", after)));
        self.app
            .ask("transactions", |helix| {
                let url = helix.url("extensions/transactions");
                helix.client.get(url).query(&query)
            })
            .await
    }

    /// `None` for what cannot be read or is not about Bits of this extension.
    fn read(&self, value: &Value) -> Option<Payment> {
        let listed = Listed::deserialize(value).ok();
        let Some(listed) = listed else {
            tracing::warn!("a payment that Twitch lists cannot be read");
            return None;
        };
        let product = listed.product_data;
        if product.domain != domain(&self.extension) || product.cost.r#type != BITS {
            return None;
        }
        Some(Payment {
            at: milliseconds(&listed.timestamp)?,
            transaction_id: listed.id,
            broadcaster_id: listed.broadcaster_id,
            user_id: listed.user_id,
            extension: self.extension.clone(),
            sku: product.sku,
            amount: product.cost.amount,
            in_development: product.in_development,
            raw: value.to_string(),
        })
    }
}
