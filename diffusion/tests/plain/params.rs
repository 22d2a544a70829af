//! Parameters: defaults, what is refused and how it is said, what a change takes.

use reverie_diffusion::params::{self, Blend, CfgType, Family, Interpolation, Params, Problems};
use reverie_diffusion::processors::{Kind, Place};
use serde_json::{Value, json};

fn merged(patch: Value) -> Params {
    Params::default()
        .merge(&patch)
        .unwrap_or_else(|problems| panic!("{patch}: {problems}"))
}

fn refused(patch: Value) -> Problems {
    Params::default()
        .merge(&patch)
        .expect_err("this patch is wrong")
}

fn pointers(problems: &Problems) -> Vec<&str> {
    problems.told.iter().map(|p| p.pointer.as_str()).collect()
}

#[test]
fn the_defaults_are_the_published_ones() {
    let params = Params::default();
    assert_eq!(params.prompt, Blend::One("flowers".to_owned()));
    assert_eq!(params.negative_prompt, "blurry, low quality, flat, 2d");
    assert_eq!((params.guidance_scale, params.delta), (1.0, 0.7));
    assert_eq!(params.num_inference_steps, 50);
    assert_eq!(params.t_index_list, [12, 20, 32]);
    assert_eq!(params.seed, Blend::One(789));
    assert_eq!(params.prompt_interpolation_method, Interpolation::Slerp);
    assert_eq!(params.seed_interpolation_method, Interpolation::Slerp);
    assert_eq!((params.width, params.height), (512, 512));
    assert!(!params.enable_similar_image_filter);
    assert_eq!(params.similar_image_filter_threshold, 0.98);
    assert_eq!(params.similar_image_filter_max_skip_frame, 10);
    assert_eq!(params.merge(&json!({})), Ok(params));
}

#[test]
fn guidance_is_left_to_the_model_unless_it_is_set() {
    assert_eq!(Params::default().guidance(), CfgType::None);
    let other = merged(json!({ "model_id": "runwayml/stable-diffusion-v1-5" }));
    assert_eq!(other.guidance(), CfgType::SelfNegative);
    let set = merged(json!({ "cfg_type": "full" }));
    assert_eq!(set.guidance(), CfgType::Full);
    assert_eq!(
        set.merge(&json!({ "cfg_type": null })).map(|p| p.cfg_type),
        Ok(None)
    );
}

#[test]
fn another_kind_of_model_begins_with_its_own_steps() {
    let params = Params::default().suited(Family::Sdxl);
    assert_eq!(params.t_index_list, [36]);
    assert_eq!(params.suited(Family::Sd15).t_index_list, [5, 15, 32]);
    let own = merged(json!({ "t_index_list": [7] }));
    assert_eq!(own.suited(Family::Sdxl).t_index_list, [7]);
    let short = merged(json!({ "t_index_list": [5], "num_inference_steps": 20 }));
    assert_eq!(short.suited(Family::Sdxl).t_index_list, [5]);
}

#[test]
fn the_family_of_a_model_is_read_from_its_unet() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("unet")).expect("a folder");
    let family = |config: &str| {
        std::fs::write(folder.path().join("unet/config.json"), config).expect("written");
        Family::of(&reverie_diffusion::folder::Folder::new(folder.path())).expect("read")
    };
    assert_eq!(
        family(r#"{"cross_attention_dim": 768}"#),
        Some(Family::Sd15)
    );
    assert_eq!(
        family(r#"{"cross_attention_dim": 1024}"#),
        Some(Family::Sd21)
    );
    assert_eq!(
        family(r#"{"cross_attention_dim": 2048}"#),
        Some(Family::Sdxl)
    );
    assert_eq!(family(r#"{"cross_attention_dim": 32}"#), None);
    assert_eq!(family("{}"), None);
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_what_is_accepted() {
    let problems = refused(json!({
        "guidance_scale": "high",
        "num_inference_steps": 51,
        "width": 500,
        "cfg_type": "half",
        "prompt": [["a", 1], ["b"]],
        "lora_dict": { "../x": 1 },
        "controlnets": [{ "conditioning_scale": 3 }],
        "processors": [{ "type": "blur", "radius": 2 }],
    }));
    let told: Vec<_> = problems
        .told
        .iter()
        .map(|p| (p.pointer.as_str(), p.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "/cfg_type",
                "expected one of none, full, self, initialize, got \"half\""
            ),
            (
                "/controlnets/0/conditioning_scale",
                "expected a number from 0 to 2, got 3"
            ),
            (
                "/controlnets/0/model_id",
                "is missing; expected a path without . and .. inside the directory of models"
            ),
            (
                "/guidance_scale",
                "expected a number from 0 to 30, got \"high\""
            ),
            (
                "/lora_dict/..~1x",
                "expected a path without . and .. inside the directory of models"
            ),
            (
                "/num_inference_steps",
                "expected a whole number from 1 to 50, got 51"
            ),
            (
                "/processors/0/radius",
                "unknown field; there are blur_intensity, kernel_size, type, place, enabled"
            ),
            ("/prompt/1", "expected [value, weight], got a list of 1"),
            (
                "/width",
                "expected a multiple of 64 from 384 to 1024, got 500"
            ),
        ]
    );
}

#[test]
fn an_unknown_key_is_refused_also_with_null_and_the_nearest_one_is_named() {
    for value in [json!(1), json!(null), json!({})] {
        let problems = refused(json!({ "guidance_scal": value }));
        assert_eq!(pointers(&problems), ["/guidance_scal"]);
        assert_eq!(
            problems.told[0].detail,
            "is no parameter; did you mean guidance_scale?"
        );
    }
    let problems = refused(json!({ "ip_adapter": { "model_id": "x", "strenght": null } }));
    assert_eq!(pointers(&problems), ["/ip_adapter/strenght"]);
    let long = refused(json!({ "x".repeat(100_000): 1 }));
    assert!(
        long.told[0].pointer.len() <= 81,
        "a key is repeated at most in part"
    );
}

#[test]
fn steps_rise_and_stay_inside_the_schedule() {
    for (patch, expected) in [
        (json!({ "t_index_list": [] }), vec!["/t_index_list"]),
        (
            json!({ "t_index_list": [1, 2, 3, 4, 5] }),
            vec!["/t_index_list"],
        ),
        (json!({ "t_index_list": [50] }), vec!["/t_index_list/0"]),
        (json!({ "t_index_list": [5, 5] }), vec!["/t_index_list/1"]),
        (
            json!({ "t_index_list": [30, 20, 49] }),
            vec!["/t_index_list/1"],
        ),
        (
            json!({ "num_inference_steps": 20 }),
            vec!["/t_index_list/1", "/t_index_list/2"],
        ),
        (
            json!({ "num_inference_steps": 0 }),
            vec!["/num_inference_steps"],
        ),
        (json!({ "t_index_list": [-1] }), vec!["/t_index_list/0"]),
        (json!({ "t_index_list": [1.5] }), vec!["/t_index_list/0"]),
    ] {
        assert_eq!(pointers(&refused(patch.clone())), expected, "{patch}");
    }
    assert_eq!(
        merged(json!({ "t_index_list": [0, 49.0] })).t_index_list,
        [0, 49]
    );
    let both = merged(json!({ "num_inference_steps": 4, "t_index_list": [0, 3] }));
    assert_eq!(both.t_index_list, [0, 3]);
}

#[test]
fn weights_are_not_negative_and_one_is_larger_than_zero() {
    assert_eq!(
        pointers(&refused(json!({ "prompt": [["a", -1]] }))),
        ["/prompt/0/1"]
    );
    assert_eq!(
        pointers(&refused(json!({ "prompt": [["a", 0], ["b", 0]] }))),
        ["/prompt"]
    );
    assert_eq!(pointers(&refused(json!({ "seed": [] }))), ["/seed"]);
    assert_eq!(
        pointers(&refused(json!({ "seed": [[1, 1], ["x", 1]] }))),
        ["/seed/1/0"]
    );
    let blend = merged(json!({ "prompt": [["a", 0], ["b", 2]], "seed": [[1, 1], [2, 0.5]] }));
    assert_eq!(
        blend.prompt,
        Blend::Many(vec![("a".to_owned(), 0.0), ("b".to_owned(), 2.0)])
    );
    assert_eq!(
        blend.seed.parts().collect::<Vec<_>>(),
        [(&1, 1.0), (&2, 0.5)]
    );
}

#[test]
fn lists_and_texts_have_limits() {
    let many = |n: usize| vec![json!(["a", 1]); n];
    assert_eq!(
        pointers(&refused(json!({ "prompt": many(9) }))),
        ["/prompt"]
    );
    merged(json!({ "prompt": many(8) }));
    assert_eq!(
        pointers(&refused(json!({ "prompt": "ä".repeat(2001) }))),
        ["/prompt"]
    );
    merged(json!({ "prompt": "ä".repeat(2000), "negative_prompt": "" }));
    assert_eq!(
        pointers(&refused(json!({ "processors": vec!["blur"; 9] }))),
        ["/processors"]
    );
    assert_eq!(pointers(&refused(json!({ "seed": u64::MAX }))), ["/seed"]);
    assert_eq!(
        merged(json!({ "seed": i64::MAX })).seed,
        Blend::One(i64::MAX.unsigned_abs())
    );
}

#[test]
fn a_processor_is_an_object_or_a_name() {
    let params = merged(json!({
        "processors": ["canny", { "type": "blur", "blur_intensity": 3.0, "kernel_size": 9.0, "place": "after" }],
    }));
    let [canny, blur] = &params.processors[..] else {
        panic!("{:?}", params.processors);
    };
    assert!(
        matches!(&canny.kind, Kind::Canny(c) if (c.low_threshold, c.high_threshold) == (100, 200))
    );
    assert!(matches!(&blur.kind, Kind::Blur(b) if (b.blur_intensity, b.kernel_size) == (3.0, 9)));
    assert_eq!((canny.place, blur.place), (Place::Before, Place::After));
    for (wrong, at) in [
        (json!("cany"), "/processors/0/type"),
        (json!("texture"), "/processors/0/image"),
        (json!({}), "/processors/0/type"),
        (
            json!({ "type": "canny", "low_threshold": 300 }),
            "/processors/0/low_threshold",
        ),
        (
            json!({ "type": "blur", "place": "beside" }),
            "/processors/0/place",
        ),
        (json!(7), "/processors/0"),
    ] {
        assert_eq!(
            pointers(&refused(json!({ "processors": [wrong] }))),
            [at],
            "{wrong}"
        );
    }
    let nets = json!([{ "model_id": "c", "preprocessor": "latent_feedback" }]);
    assert_eq!(
        pointers(&refused(json!({ "controlnets": nets }))),
        ["/controlnets/0/preprocessor"]
    );
    let alone = json!({ "skip_diffusion": true, "processors": ["blur", "latent_feedback"] });
    assert_eq!(pointers(&refused(alone)), ["/processors/1"]);
}

#[test]
fn names_of_other_programs_are_read() {
    let params = merged(json!({ "acceleration": "tensorrt" }));
    assert_eq!(params.to_json()["acceleration"], "graphs");
    let params = merged(json!({ "acceleration": "xformers" }));
    assert_eq!(params.to_json()["acceleration"], "sdpa");
}

#[test]
fn a_plan_says_what_holds_at_once_and_what_is_loaded_anew() {
    let before = merged(json!({
        "controlnets": [{ "model_id": "a" }, { "model_id": "b" }],
        "ip_adapter": { "model_id": "i" },
    }));
    let plan = |patch: Value| {
        let plan = before.plan(&before.merge(&patch).expect("a good patch"));
        (plan.hot.join(" "), plan.reload.join(" "))
    };
    let told = |hot: &str, reload: &str| (hot.to_owned(), reload.to_owned());
    assert_eq!(plan(json!({})), told("", ""));
    assert_eq!(
        plan(json!({ "prompt": "x", "seed": 5, "width": 768, "lora_dict": { "l": 1 } })),
        told("prompt seed", "width lora_dict")
    );
    assert_eq!(
        plan(
            json!({ "controlnets": [{ "model_id": "a", "conditioning_scale": 0 }, { "model_id": "c" }] })
        ),
        told(
            "controlnets[0].conditioning_scale",
            "controlnets[1].model_id"
        )
    );
    assert_eq!(plan(json!({ "controlnets": [] })), told("", "controlnets"));
    assert_eq!(
        plan(json!({ "ip_adapter": { "scale": 0.5 } })),
        told("ip_adapter.scale", "")
    );
    assert_eq!(plan(json!({ "ip_adapter": null })), told("", "ip_adapter"));
    assert_eq!(
        plan(json!({ "processors": ["blur"], "cfg_type": "full" })),
        told("cfg_type processors", "")
    );
}

#[test]
fn a_failed_reload_leaves_what_needs_none() {
    let old = merged(json!({ "controlnets": [{ "model_id": "a" }] }));
    let wanted = old
        .merge(&json!({ "model_id": "other", "prompt": "x", "width": 768, "controlnets": [{ "model_id": "a", "conditioning_scale": 0.5 }] }))
        .expect("a good patch");
    let left = wanted.fall_back(&old);
    assert_eq!(old.plan(&left).reload, [""; 0]);
    assert_eq!(
        old.plan(&left).hot,
        ["prompt", "controlnets[0].conditioning_scale"]
    );
}

#[test]
fn a_hash_is_of_the_values_and_stays_the_same() {
    let params = Params::default();
    assert_eq!(params.hash(), Params::default().hash());
    assert_ne!(params.hash(), merged(json!({ "seed": 1 })).hash());
    let there_and_back = merged(json!({ "seed": 1 }))
        .merge(&json!({ "seed": null }))
        .expect("good");
    assert_eq!(there_and_back.hash(), params.hash());
}

#[test]
fn a_transition_is_under_way_once_and_its_target_is_the_prompt_then() {
    let params = merged(json!({ "transition": { "target": "winter", "num_steps": 30 } }));
    assert_eq!(params.prompt, Blend::One("flowers".to_owned()));
    let settled = params.settled();
    assert_eq!(
        (settled.prompt.clone(), settled.transition.clone()),
        (Blend::One("winter".to_owned()), None)
    );
    assert_eq!(settled.clone().settled(), settled);
}

#[test]
fn null_brings_back_the_defaults_that_are_given() {
    let own = merged(json!({ "model_id": "own/model", "seed": 5 }));
    let params = own
        .merge(&json!({ "seed": 6, "model_id": "other" }))
        .expect("a good patch");
    let back = params.merge_over(&own, &json!({ "seed": null, "model_id": null }));
    assert_eq!(back, Ok(own));
}

#[test]
fn what_is_not_in_the_directory_of_models_is_named() {
    let models = tempfile::tempdir().expect("a folder");
    for folder in ["owner/name", "net"] {
        std::fs::create_dir_all(models.path().join(folder)).expect("a folder");
    }
    std::fs::write(models.path().join("lora.safetensors"), "").expect("a file");
    let here = merged(json!({
        "model_id": "owner/name",
        "lora_dict": { "lora.safetensors": 1 },
        "controlnets": [{ "model_id": "net" }],
    }));
    assert_eq!(params::missing(models.path(), &here), []);
    let away = merged(json!({
        "model_id": "owner/other",
        "vae_id": "taesd",
        "lora_dict": { "lora.safetensors": 1, "a/b": 1 },
        "controlnets": [{ "model_id": "net" }, { "model_id": "depth" }],
        "ip_adapter": { "model_id": "ip", "image": "face.png" },
    }));
    let problems = params::missing(models.path(), &away);
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/model_id",
            "/vae_id",
            "/lora_dict/a~1b",
            "/controlnets/1/model_id",
            "/ip_adapter/model_id",
            "/ip_adapter/image",
        ]
    );
    assert!(
        problems[0].detail.contains("owner/other is not in"),
        "{:?}",
        problems[0]
    );
}

#[test]
fn text_that_is_no_json_or_no_object_is_refused_as_a_whole() {
    let params = Params::default();
    for text in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"seed\": NaN}",
        "{\"delta\": 1e999}",
    ] {
        let problems = params.merge_text(text).expect_err("no patch");
        assert_eq!(problems.told[0].pointer, "", "{text}");
    }
}

#[test]
fn the_documentation_has_the_table_of_the_code() {
    let page = include_str!("../../../docs/parameters.md");
    let table = params::markdown();
    assert!(
        page.contains(&table),
        "docs/parameters.md lacks this:\n{table}"
    );
}

#[test]
fn the_schema_accepts_the_defaults_and_names_what_loads_anew() {
    let schema = params::schema();
    assert!(crate::json_schema::accepts(
        &schema,
        &schema,
        &Params::default().to_json()
    ));
    assert_eq!(schema["properties"]["prompt"]["default"], "flowers");
    assert_eq!(schema["properties"]["width"]["x-reload"], true);
    assert_eq!(schema["properties"]["seed"].get("x-reload"), None);
    let nets = &schema["properties"]["controlnets"]["items"];
    assert_eq!(nets["required"], json!(["model_id"]));
    assert_eq!(nets["properties"]["conditioning_scale"]["default"], 1.0);
    assert_eq!(nets["properties"]["model_id"]["x-reload"], true);
}
