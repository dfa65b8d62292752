use serde_json::json;

use super::{preprocessor, timm};
use crate::model::{Interpolation, Preprocess, Resize};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn preprocess(config: serde_json::Value) -> Result<Preprocess, String> {
    preprocessor::preprocess(&serde_json::from_value(config).unwrap())
}

fn timm_config() -> serde_json::Value {
    json!({
        "architecture": "resnet50",
        "num_classes": 1000,
        "num_features": 2048,
        "global_pool": "avg",
        "model_args": {"in_chans": 3, "num_classes": 1000, "global_pool": "avg"},
        "pretrained_cfg": {
            "tag": "a1_in1k",
            "num_classes": 1000,
            "input_size": [3, 224, 224],
            "test_input_size": [3, 288, 288],
            "pool_size": [7, 7],
            "crop_pct": 0.95,
            "crop_mode": "center",
            "interpolation": "bicubic",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "first_conv": "conv1",
            "classifier": "fc",
            "license": "apache-2.0"
        }
    })
}

#[test]
fn a_config_of_timm_sets_architecture_preprocessing_and_licence() {
    let described = timm::describe(&timm_config()).unwrap();
    assert_eq!(described.architecture.name, "resnet50");
    assert_eq!(described.license, "apache-2.0");
    assert_eq!(described.labels, None);
    let expected = Preprocess {
        input: [224, 224],
        resize: Resize::ShorterSide,
        crop_ratio: 0.95,
        interpolation: Interpolation::Bicubic,
        mean: MEAN,
        std: STD,
    };
    assert_eq!(described.preprocess, expected);
}

#[test]
fn unsupported_settings_of_a_timm_config_are_errors() {
    let cases: [(&str, serde_json::Value, &str); 6] = [
        ("/architecture", json!("convnext_base"), "unknown architecture \"convnext_base\""),
        ("/model_args", json!({"stem_width": 32}), "model_args.stem_width is 32"),
        ("/model_args/global_pool", json!("max"), "model_args.global_pool is \"max\""),
        ("/pretrained_cfg/input_size", json!([1, 28, 28]), "input_size has 1 channels"),
        ("/pretrained_cfg/crop_mode", json!("border"), "crop_mode is \"border\""),
        ("/pretrained_cfg/interpolation", json!("random"), "interpolation is \"random\""),
    ];
    for (place, value, expected) in cases {
        let mut config = timm_config();
        *config.pointer_mut(place).unwrap() = value;
        let error = timm::describe(&config).err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn processors_that_change_pixels_in_their_own_way_are_read_or_rejected() {
    let processor = |kind: &str, more: serde_json::Value| {
        let mut config = json!({
            "image_processor_type": kind, "size": {"shortest_edge": 224}, "do_center_crop": true,
            "crop_size": {"height": 224, "width": 224}, "image_mean": MEAN, "image_std": STD, "resample": 3,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        preprocess(config)
    };
    let efficientnet = processor("EfficientNetImageProcessor", json!({})).unwrap();
    let near = |found: [f32; 3], expected: [f32; 3]| {
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6)
    };
    assert!(near(efficientnet.std, STD.map(|std| std * std)), "it divides twice by default");
    let headless = processor("EfficientNetImageProcessor", json!({"include_top": false})).unwrap();
    assert!(near(headless.std, STD));
    let levit = processor("LevitImageProcessor", json!({})).unwrap();
    assert!((levit.crop_ratio - 0.875).abs() < 1e-9, "it resizes to 256");
    for (field, value) in [
        ("rescale_offset", json!(true)),
        ("do_flip_channel_order", json!(true)),
        ("crop_pct", json!(0.9)),
    ] {
        let refused = processor("PoolFormerImageProcessor", json!({ field: value })).unwrap_err();
        assert!(refused.contains(field), "{refused}");
    }
}

#[test]
fn image_processors_of_both_generations_are_read() {
    let convnext = |size: serde_json::Value| {
        json!({
            "crop_pct": 0.875, "do_normalize": true, "do_resize": true,
            "feature_extractor_type": "ConvNextFeatureExtractor",
            "image_mean": MEAN, "image_std": STD, "resample": 3, "size": size,
        })
    };
    let expected = Preprocess {
        input: [224, 224],
        resize: Resize::ShorterSide,
        crop_ratio: 0.875,
        interpolation: Interpolation::Bicubic,
        mean: MEAN,
        std: STD,
    };
    assert_eq!(preprocess(convnext(json!(224))).unwrap(), expected);
    assert_eq!(preprocess(convnext(json!({"shortest_edge": 224}))).unwrap(), expected);
    let large = preprocess(convnext(json!({"shortest_edge": 384}))).unwrap();
    assert_eq!((large.input, large.resize, large.crop_ratio), ([384, 384], Resize::Exact, 1.0));
}

#[test]
fn the_crop_ratio_reproduces_the_shortest_edge_exactly() {
    for (edge, crop) in [(256, 224), (232, 224), (235, 224), (36, 32), (321, 299), (1000, 7)] {
        let processor = json!({
            "image_processor_type": "BitImageProcessor", "do_center_crop": true,
            "size": {"shortest_edge": edge}, "crop_size": {"height": crop, "width": crop},
            "image_mean": MEAN, "image_std": STD, "resample": 2, "rescale_factor": 1.0 / 255.0,
        });
        let preprocess = preprocess(processor).unwrap();
        assert_eq!(preprocess.input, [crop, crop]);
        let resized = (f64::from(crop) / preprocess.crop_ratio).floor();
        assert!((resized - f64::from(edge)).abs() < 0.5, "{resized} is not {edge}");
    }
}

#[test]
fn unsupported_settings_of_an_image_processor_are_errors() {
    let processor = json!({
        "image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224},
        "image_mean": MEAN, "image_std": STD,
    });
    assert_eq!(preprocess(processor.clone()).unwrap().resize, Resize::Exact);
    let cases = [
        ("do_resize", json!(false), "do_resize is false"),
        ("rescale_factor", json!(1.0), "rescaled by 1/255"),
        ("resample", json!(5), "resample is 5"),
        ("image_mean", json!(null), "image_mean is missing"),
        ("size", json!({"shortest_edge": 224}), "shortest_edge without a centre crop"),
    ];
    for (field, value, expected) in cases {
        let mut changed = processor.clone();
        changed[field] = value;
        let error = preprocess(changed).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
