//! Parameters under patches of every kind: any field, any order, any JSON value.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use reverie_diffusion::params::{self, Params};
use serde_json::{Map, Value, json};

use crate::json_schema::accepts;

/// What cross rules say, which no schema can.
const RULES: [&str; 6] = [
    "num_inference_steps, which",
    "the one before",
    "latent_feedback",
    "must not be above",
    "must be odd",
    "must be the name of a PNG file",
];

fn names() -> Vec<String> {
    let params = Params::default().to_json();
    params
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

/// Keys that stand somewhere in the parameters, and some that do not.
fn key() -> impl Strategy<Value = String> {
    let inner = [
        "model_id",
        "conditioning_scale",
        "preprocessor",
        "image",
        "scale",
        "target",
        "num_steps",
        "type",
        "place",
        "low_threshold",
        "high_threshold",
        "blur_intensity",
        "weight",
        "a/b",
        "",
        "~",
        "../x",
        "unknown",
    ];
    prop_oneof![
        select(names()),
        select(inner.to_vec()).prop_map(str::to_owned),
        "\\PC{0,8}",
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    let edges = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(2),
        json!(4),
        json!(32),
        json!(49),
        json!(50),
        json!(51),
        json!(512),
        json!(513),
        json!(1024),
        json!(12.0),
        json!(0.5),
        json!(-0.0),
        json!(-1),
        json!(30.1),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!("none"),
        json!("full"),
        json!("self"),
        json!("slerp"),
        json!("canny"),
        json!("texture"),
        json!("latent_feedback"),
        json!("before"),
        json!("after"),
        json!("tensorrt"),
        json!("owner/name"),
        json!("data:image/png;base64,iVBORw0KGgo="),
        json!("data:image/jpeg;base64,===="),
        json!("https://example.org/a.png"),
        json!("crop"),
        json!({ "model_id": "adapter", "image": "data:image/png;base64,AA//" }),
        json!(".."),
        json!(""),
        json!("x".repeat(2001)),
    ];
    prop_oneof![
        6 => select(edges),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => "\\PC{0,12}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let pair = (leaf(), leaf()).prop_map(|(value, weight)| json!([value, weight]));
    let processor = (
        select(vec!["canny", "blur", "texture", "feedback", "odd"]),
        key(),
        leaf(),
    )
        .prop_map(|(name, key, value)| {
            let mut object = json!({ "type": name });
            object[key] = value;
            object
        });
    let base = prop_oneof![4 => leaf(), 1 => pair, 1 => processor];
    base.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(key(), inner, 0..5).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

fn patch() -> impl Strategy<Value = Value> {
    btree_map(prop_oneof![9 => select(names()), 1 => key()], value(), 0..5)
        .prop_map(|map| Value::Object(Map::from_iter(map)))
}

/// Parameters after some patches, of which those that are refused change nothing.
fn start() -> impl Strategy<Value = Params> {
    vec(patch(), 0..4).prop_map(|patches| {
        patches.iter().fold(Params::default(), |params, patch| {
            params.merge(patch).unwrap_or(params)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_patch_is_followed_or_refused_with_a_place(start in start(), patch in patch()) {
        let schema = params::schema();
        match start.merge(&patch) {
            Ok(params) => {
                let whole = params.to_json();
                prop_assert!(accepts(&schema, &schema, &whole), "{whole}");
                prop_assert_eq!(params.merge(&json!({})), Ok(params.clone()));
                prop_assert_eq!(params.merge(&whole), Ok(params.clone()));
                prop_assert_eq!(params.merge_text(&whole.to_string()), Ok(params.clone()));
                prop_assert_eq!(start.plan(&params).is_empty(), start == params);
                prop_assert_eq!(start.hash() == params.hash(), start == params);
            }
            Err(problems) => {
                prop_assert!(!problems.told.is_empty());
                for problem in &problems.told {
                    prop_assert!(problem.pointer.is_empty() || problem.pointer.starts_with('/'));
                    prop_assert!(!problem.detail.is_empty());
                }
            }
        }
    }

    #[test]
    fn any_json_at_all_is_no_panic(value in value()) {
        let _ = Params::default().merge(&value);
    }

    #[test]
    fn the_schema_and_the_check_agree(field in select(names()), value in value()) {
        let schema = params::schema();
        let valid = accepts(&schema, &schema["properties"][&field], &value);
        // In a patch these are no values but the default, or something to be merged into the default.
        prop_assume!(!(value.is_null() || value.is_object() && contains_null(&value)));
        prop_assume!(field != "lora_dict" && field != "ip_adapter" && field != "transition" || value.is_object());
        match Params::default().merge(&json!({ &field: &value })) {
            Ok(_) => prop_assert!(valid, "{field} {value} is followed, but not valid"),
            Err(problems) => {
                let all = problems.to_string();
                let by_rule = RULES.iter().any(|rule| all.contains(rule));
                prop_assert!(!valid || by_rule, "{field} {value} is valid, but refused: {all}");
            }
        }
    }

    #[test]
    fn the_order_of_patches_of_different_fields_does_not_matter(start in start(), one in patch(), other in patch()) {
        let keys = |patch: &Value| patch.as_object().expect("an object").clone();
        prop_assume!(keys(&one).keys().all(|key| !keys(&other).contains_key(key)));
        let there = start.merge(&one).and_then(|params| params.merge(&other));
        let back = start.merge(&other).and_then(|params| params.merge(&one));
        if let (Ok(there), Ok(back)) = (there, back) {
            prop_assert_eq!(there, back);
        }
    }

    #[test]
    fn what_a_failed_reload_leaves_is_valid_and_loads_nothing(start in start(), patch in patch()) {
        if let Ok(wanted) = start.merge(&patch) {
            let left = wanted.fall_back(&start);
            prop_assert!(start.plan(&left).reload.is_empty());
            let whole = left.to_json();
            let schema = params::schema();
            prop_assert!(accepts(&schema, &schema, &whole), "{whole}");
        }
    }
}

fn contains_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(contains_null),
        Value::Object(entries) => entries.values().any(contains_null),
        _ => false,
    }
}
