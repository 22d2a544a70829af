//! What is asked for becomes what the store takes in: the product's price, duration, pipeline and parameters.

use reverie_diffusion::params::{Params, Problem as Wrong, Problems};
use reverie_moments::MomentId;
use reverie_moments::life::{Ms, Source, Submission, Viewer};
use reverie_moments::store::Product;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::App;
use super::problem::Problem;
use crate::channel::{Message, params_of};
use crate::session::random_name;
use crate::twitch::catalogue;

/// Parameters that viewers may give: numbers, since words would have to be reviewed, and nothing that takes longer.
const OF_VIEWERS: [&str; 4] = ["seed", "guidance_scale", "delta", "t_index_list"];

/// Body of a request for a moment.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMoment {
    prompt: String,
    pub(super) sku: Option<String>,
    #[serde(default)]
    pay: Pay,
    duration_s: Option<f64>,
    pipeline: Option<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// What a product is paid with.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pay {
    #[default]
    Bits,
    Credit,
}

/// What the store is asked to take in. `own` is true of who owns the channel.
pub(super) async fn submission(
    app: &App,
    channel: &str,
    viewer: Viewer,
    wanted: NewMoment,
    key: String,
    own: bool,
) -> Result<Submission, Problem> {
    let config = &app.shared.config;
    let default = config.moments.default_duration.as_secs_f64();
    let (source, price, product) = match &wanted.sku {
        None => (Source::Streamer, 0, None),
        Some(sku) => {
            let product = product(app, channel, sku).await?;
            let source = match wanted.pay {
                _ if product.price == 0 => Source::Free,
                Pay::Bits => Source::Bits,
                Pay::Credit => Source::Credit,
            };
            (source, product.price, Some(product))
        }
    };
    // What a product says is what was paid for.
    let fixed = product
        .as_ref()
        .and_then(|product| product.pipeline.clone());
    let pipeline = fixed
        .or(wanted.pipeline)
        .unwrap_or_else(|| config.pipeline.default.clone());
    let stages = &app.shared.stages;
    if !stages.knows(&pipeline) {
        let known = stages.names().collect::<Vec<_>>().join(", ");
        return Err(Problem::Pipeline(format!(
            "there is no pipeline {pipeline:?}; available are: {known}"
        )));
    }
    let overlay = overlay(product.as_ref(), wanted.params, own).map_err(Problem::Params)?;
    current(app, channel)
        .await?
        .overlaid(&overlay)
        .map_err(|problems| Problem::Params(below(&problems, "/params")))?;
    Ok(Submission {
        id: MomentId::new(random_name(8)?),
        channel: channel.to_owned(),
        viewer,
        source,
        sku: wanted.sku.unwrap_or_default(),
        price,
        prompt: wanted.prompt,
        params: params_of(&pipeline, &overlay),
        duration: match &product {
            Some(product) => product.duration,
            None => millis(wanted.duration_s.unwrap_or(default))?,
        },
        idempotency_key: key,
    })
}

/// The parameters of a channel as they are asked for now; those of every channel where it is not here.
pub(super) async fn current(app: &App, channel: &str) -> Result<Params, Problem> {
    match app.channels.find(channel) {
        Some(channel) => Ok(channel.ask(Message::Params).await?),
        None => Ok(app.shared.params.clone()),
    }
}

/// Problems as they are told of a document that has the parameters further down.
pub(super) fn below(problems: &Problems, place: &str) -> Problems {
    let mut problems = problems.clone();
    for problem in &mut problems.told {
        problem.pointer.insert_str(0, place);
    }
    problems
}

/// The parameters of a product, and what is asked for beside them.
fn overlay(
    product: Option<&Product>,
    wanted: Map<String, Value>,
    own: bool,
) -> Result<Map<String, Value>, Problems> {
    let fixed = product.and_then(|product| serde_json::from_str(&product.params).ok());
    let mut overlay: Map<String, Value> = fixed.unwrap_or_default();
    let refusal = |name: &String| {
        let detail = if overlay.contains_key(name) {
            "is set by the product".to_owned()
        } else if !own && !OF_VIEWERS.contains(&name.as_str()) {
            format!("is the streamer's; accepted are {}", OF_VIEWERS.join(", "))
        } else {
            return None;
        };
        let name: String = name.chars().take(80).collect();
        let pointer = format!("/params/{}", name.replace('~', "~0").replace('/', "~1"));
        Some(Wrong { pointer, detail })
    };
    let told: Vec<Wrong> = wanted.keys().filter_map(refusal).take(32).collect();
    if !told.is_empty() {
        return Err(Problems { told, more: 0 });
    }
    overlay.extend(wanted);
    Ok(overlay)
}

/// The product of this name in the channel's catalogue.
async fn product(app: &App, channel: &str, sku: &str) -> Result<Product, Problem> {
    let (shared, store) = (&app.shared, &app.shared.node.store);
    let offered = catalogue::offered(store, &shared.config.twitch, channel).await?;
    let mut products = offered.products.into_iter();
    products
        .find(|one| one.sku == sku)
        .ok_or_else(|| Problem::Product(sku.to_owned()))
}

fn millis(seconds: f64) -> Result<Ms, Problem> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| {
        Problem::Json(format!(
            "duration_s is {seconds}; accepted is a number of seconds"
        ))
    })?;
    Ok(Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snow() -> Product {
        Product {
            sku: "snow".into(),
            name: "Snow".into(),
            price: 100,
            duration: 1000,
            pipeline: None,
            params: r#"{"seed":5,"negative_prompt":"summer"}"#.into(),
        }
    }

    fn of(wanted: Value, own: bool) -> Result<Value, Vec<String>> {
        let wanted = wanted.as_object().cloned().unwrap_or_default();
        let pointers = |problems: Problems| problems.told.into_iter().map(|p| p.pointer).collect();
        overlay(Some(&snow()), wanted, own)
            .map(Value::Object)
            .map_err(pointers)
    }

    #[test]
    fn a_product_brings_its_parameters_and_a_viewer_adds_numbers() {
        let both = json!({ "seed": 5, "negative_prompt": "summer", "delta": 0.5 });
        assert_eq!(of(json!({ "delta": 0.5 }), false), Ok(both));
    }

    #[test]
    fn what_the_product_says_and_what_is_the_streamers_is_refused_to_viewers() {
        let told = of(json!({ "seed": 6, "processors": [] }), false).unwrap_err();
        assert_eq!(told, ["/params/processors", "/params/seed"]);
        let own = of(json!({ "processors": [] }), true).unwrap();
        assert_eq!(own["processors"], json!([]));
        assert_eq!(
            of(json!({ "seed": 6 }), true).unwrap_err(),
            ["/params/seed"]
        );
    }
}
