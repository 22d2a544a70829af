//! The JSON API of what a channel offers, and of the words it does not want.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use reverie_diffusion::params::Params;
use reverie_moments::filter::{Blocklist, MAX_ENTRIES};
use reverie_moments::life::Ms;
use reverie_moments::store::{Catalogue, Product};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::App;
use super::extract::{ChannelName, allow, if_match, json};
use super::problem::Problem;
use super::submission::{below, current};
use crate::auth::Need;
use crate::node::now_ms;
use crate::twitch::catalogue;

/// The highest price, which is Twitch's too.
const MAX_PRICE: i64 = 10_000;
/// The longest name for people, in characters.
const MAX_NAME: usize = 100;
/// The largest parameters of a product, in bytes.
const MAX_PARAMS: usize = 4096;

/// A product as it is shown and set.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Product)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    sku: String,
    #[serde(default)]
    name: Option<String>,
    /// In Bits; 0 is free.
    price: i64,
    duration_s: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// Body of a change of products.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Products {
    products: Vec<Shown>,
}

/// Body of a change of a blocklist.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Blocklist)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    entries: Vec<String>,
}

/// `GET /v1/channels/{channel}/products`.
pub(super) async fn products(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let shared = &app.shared;
    let offered = catalogue::offered(&shared.node.store, &shared.config.twitch, &name.0).await?;
    Ok(shown(&offered))
}

/// `PUT /v1/channels/{channel}/products`.
pub(super) async fn set_products(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    let wanted: Products = json(&app, &headers, body, false).await?;
    let current = current(&app, &name.0).await?;
    let read = |(at, shown)| read(&app, &current, at, shown);
    let products = wanted.products.into_iter().enumerate().map(read);
    let products = products.collect::<Result<Vec<_>, _>>()?;
    let store = &app.shared.node.store;
    store.add_channel(now_ms(), &name.0, None).await?;
    let seen = match if_match(&headers)? {
        Some(version) => version,
        None => store.catalogue(&name.0).await?.version,
    };
    let set = store.set_catalogue(now_ms(), &name.0, &products, seen);
    match set.await? {
        Some(version) => Ok(shown(&Catalogue { products, version })),
        None => Err(Problem::SettingsChanged {
            current: store.catalogue(&name.0).await?.version,
        }),
    }
}

/// `GET /v1/channels/{channel}/blocklist`: for those who may change it, since others would only learn what to avoid.
pub(super) async fn blocklist(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Moderate(&name.0))?;
    let (list, version) = app.shared.node.store.blocklist(&name.0).await?;
    Ok(words(&list, version))
}

/// `PUT /v1/channels/{channel}/blocklist`.
pub(super) async fn set_blocklist(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Moderate(&name.0))?;
    let wanted: Words = json(&app, &headers, body, false).await?;
    let list = Blocklist::new(wanted.entries).map_err(|bad| Problem::Json(bad.to_string()))?;
    let store = &app.shared.node.store;
    store.add_channel(now_ms(), &name.0, None).await?;
    let seen = match if_match(&headers)? {
        Some(version) => version,
        None => store.blocklist(&name.0).await?.1,
    };
    match store.set_blocklist(now_ms(), &name.0, &list, seen).await? {
        Some(version) => Ok(words(&list, version)),
        None => Err(Problem::SettingsChanged {
            current: store.blocklist(&name.0).await?.1,
        }),
    }
}

fn read(app: &App, current: &Params, at: usize, shown: Shown) -> Result<Product, Problem> {
    let sku = &shown.sku;
    let wrong = |what: String| Err(Problem::Json(format!("the product {sku:?} has {what}")));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !(1..=64).contains(&sku.len()) || !sku.bytes().all(legal) {
        let sku: String = sku.chars().take(80).collect();
        return Err(Problem::Json(format!(
            "{sku:?} is no SKU; accepted are 1 to 64 of a-z, A-Z, 0-9, _, - and ."
        )));
    }
    let name = shown.name.unwrap_or_else(|| sku.clone());
    if !(1..=MAX_NAME).contains(&name.chars().count()) {
        return wrong(format!(
            "a name that is not 1 to {MAX_NAME} characters long"
        ));
    }
    if !(0..=MAX_PRICE).contains(&shown.price) {
        return wrong(format!(
            "a price of {}; accepted are 0 to {MAX_PRICE}",
            shown.price
        ));
    }
    let max = app.shared.config.moments.max_duration.as_secs_f64();
    if !(1.0..=max).contains(&shown.duration_s) {
        let lasts = shown.duration_s;
        return wrong(format!("a duration_s of {lasts}; accepted are 1 to {max}"));
    }
    let unknown = shown
        .pipeline
        .as_ref()
        .filter(|name| !app.shared.stages.knows(name));
    if let Some(pipeline) = unknown {
        let known = app.shared.stages.names().collect::<Vec<_>>().join(", ");
        return wrong(format!("the pipeline {pipeline:?}; available are: {known}"));
    }
    let params = shown.params;
    current
        .overlaid(&params)
        .map_err(|problems| Problem::Params(below(&problems, &format!("/products/{at}/params"))))?;
    let text = Value::Object(params).to_string();
    if text.len() > MAX_PARAMS {
        return wrong(format!("params of more than {MAX_PARAMS} bytes"));
    }
    Ok(Product {
        sku: shown.sku,
        name,
        price: shown.price,
        // Within its range this is exact to the millisecond.
        duration: (shown.duration_s * 1000.0).round() as Ms,
        pipeline: shown.pipeline,
        params: text,
    })
}

fn shown(catalogue: &Catalogue) -> Response {
    let products = catalogue.products.iter().map(|product| Shown {
        sku: product.sku.clone(),
        name: Some(product.name.clone()),
        price: product.price,
        duration_s: product.duration as f64 / 1000.0,
        pipeline: product.pipeline.clone(),
        params: serde_json::from_str(&product.params).unwrap_or_default(),
    });
    let products: Vec<_> = products.collect();
    let version = catalogue.version;
    tagged(json!({ "products": products, "version": version }), version)
}

fn words(list: &Blocklist, version: i64) -> Response {
    let body = json!({ "entries": list.entries(), "max_entries": MAX_ENTRIES, "version": version });
    tagged(body, version)
}

/// With the version as entity tag, for `If-Match`.
fn tagged(body: Value, version: i64) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
