use super::arch::{self, ARCHITECTURES, VARIANTS};
use super::choices::{Activation, Architecture, Family, Normalization, Residual};
use super::infer::{Guess, infer};
use super::layer::{Layer, LayerKind, Stage};
use super::{
    Classes, EmitPlan, InputNormalization, Network, NetworkDescription, NotInferred, emit,
};
use crate::onnx::OnnxModel;
use crate::weights::{TensorSpec, Weights};

fn network(name: &str) -> Network {
    let row = arch::find(name).unwrap();
    Network::expand(row, row.classes)
}

fn description(name: &str) -> NetworkDescription {
    network(name).describe(arch::find(name).unwrap().input)
}

/// The network with all elements of all tensors 1.
fn model(name: &str) -> OnnxModel {
    let network = network(name);
    let specs = network.tensors();
    let ones = specs.iter().map(|spec| {
        (spec.name.clone(), spec.shape.clone(), vec![1.0; spec.shape.iter().product()])
    });
    let weights = Weights::from_tensors(ones).check(&specs).unwrap();
    let plan = EmitPlan {
        input: network.architecture.input,
        normalize: InputNormalization { mean: [0.5; 3], std: [0.25; 3] },
        metadata: vec![("key".to_owned(), "value".to_owned())],
        classes: Classes::Exclusive,
    };
    emit(&network, &weights, &plan)
}

/// Each row of the table has the comment `// 25.6 M   4.1 G`: parameters and multiply-adds.
#[test]
fn comments_of_the_table_state_the_computed_parameters_and_multiply_adds() {
    let table = include_str!("arch.rs").split("pub const VARIANTS").next().unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for (code, comment) in table.lines().filter_map(|line| line.split_once(" // ")) {
        let Some(name) = code.split('"').nth(1) else { continue };
        let [millions, "M", billions, "G"] = comment.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("{name}: {comment:?} has no parameters and multiply-adds");
        };
        let found = description(name);
        for (stated, count, unit) in
            [(millions, found.parameters, 1e6), (billions, found.multiply_adds, 1e9)]
        {
            let decimals = stated.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            #[expect(
                clippy::cast_precision_loss,
                reason = "a float has more digits than the comment"
            )]
            let computed = format!("{:.decimals$}", count as f64 / unit);
            if stated != computed {
                wrong.push(format!("{name}: {stated}, computed {computed}"));
            }
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(rows, ARCHITECTURES.len(), "every row has the comment");
}

/// The numbers of torchvision's documentation.
#[test]
fn imagenet_networks_have_as_many_parameters_as_torchvision_documents() {
    for (name, parameters) in [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnet50-v1", 25_557_032),
        ("resnet101-v1", 44_549_160),
        ("resnet152-v1", 60_192_808),
        ("wide_resnet50_2", 68_883_240),
        ("wide_resnet101_2", 126_886_696),
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
        ("vgg11", 132_863_336),
        ("vgg13", 133_047_848),
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("vgg11_bn", 132_868_840),
        ("vgg13_bn", 133_053_736),
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
    ] {
        assert_eq!(description(name).parameters, parameters, "{name}");
    }
}

/// The activation after the stem and after each block; and the size of the last map for images of 224×224.
/// Where a block of two 3×3 convolutions halves the size, it has a projection: 64 · 64 weights and a norm.
#[test]
fn variants_differ_from_their_network_as_their_names_say() {
    for row in VARIANTS {
        let (name, activation) = match row.name.rsplit_once('-') {
            Some((name, "gelu")) => (name, Activation::Gelu),
            Some((name, "silu")) => (name, Activation::Silu),
            _ => (row.name, Activation::Relu),
        };
        let (base, is_halved) = match name.strip_suffix("-stride64") {
            Some(base) => (base, true),
            None => (name, false),
        };
        let (base, found) = (network(base), network(row.name));
        assert_eq!(base.architecture.blocks, row.blocks, "{}", row.name);
        let count = |network: &Network, activation| {
            let is_it = |layer: &&Layer| layer.kind == LayerKind::Activation(activation);
            network.layers.iter().filter(is_it).count()
        };
        if activation != Activation::Relu {
            assert_eq!(count(&found, activation), 1 + row.blocks.iter().sum::<usize>());
        }
        let [base, found] = [base, found].map(|network| network.describe([224, 224]));
        let is_basic = ["resnet18", "resnet34"].contains(&&row.name[..8]);
        let projection = if is_halved && is_basic { 64 * 64 + 2 * 64 } else { 0 };
        assert_eq!(found.parameters, base.parameters + projection, "{}", row.name);
        let last = found.stages[4].output;
        assert_eq!(last[1..], if is_halved { [4, 4] } else { [7, 7] }, "{}", row.name);
    }
}

#[test]
fn only_a_graph_with_gelu_has_the_newer_operators() {
    assert_eq!(model("resnet18").opset(), 17);
    assert_eq!(model("resnet18-gelu").opset(), 20);
    assert_eq!(model("resnet18-silu").opset(), 17);
}

/// He et al. 2015, Table 6, rounded as there.
#[test]
fn cifar_networks_have_as_many_parameters_as_the_paper_states() {
    for (name, parameters, hundredths) in [
        ("resnet20", 269_722, 27),
        ("resnet32", 464_154, 46),
        ("resnet44", 658_586, 66),
        ("resnet56", 853_018, 85),
        ("resnet110", 1_727_962, 173),    // printed as 1.7
        ("resnet1202", 19_421_274, 1942), // printed as 19.4
        ("plain20", 269_722, 27),         // option A has no parameters, so a plain net has as many
        ("plain32", 464_154, 46),
        ("plain44", 658_586, 66),
        ("plain56", 853_018, 85),
        ("plain110", 1_727_962, 173),
    ] {
        let found = description(name).parameters;
        assert_eq!(found, parameters, "{name}");
        assert_eq!((found + 5_000) / 10_000, hundredths, "{name}");
    }
}

/// He et al. 2015, Table 1, in 10⁸ multiply-adds. The paper truncates the numbers for 34 and 50 layers (3.66
/// and 3.86), so the last digit may differ by one.
#[test]
fn networks_have_as_many_multiply_adds_as_the_paper_states() {
    for (name, multiply_adds, printed) in [
        ("resnet18", 1_814_073_344, 18),
        ("resnet34", 3_663_761_408, 36),
        ("plain18", 1_794_805_760, 18), // less three projections of 6,422,528 each
        ("plain34", 3_644_493_824, 36),
        ("resnet50-v1", 3_857_973_248, 38),
        ("resnet101-v1", 7_570_194_432, 76),
        ("resnet152-v1", 11_282_415_616, 113),
    ] {
        let found = description(name).multiply_adds;
        assert_eq!(found, multiply_adds, "{name}");
        assert!((found / 100_000_000).abs_diff(printed) <= 1, "{name}");
    }
}

/// The sums of the elements of timm's tensors.
#[test]
fn networks_have_as_many_parameters_as_in_timm() {
    for (name, parameters) in [
        ("resnet18d", 11_708_744),
        ("resnet34d", 21_816_904),
        ("resnet50d", 25_576_264),
        ("resnet101d", 44_568_392),
        ("resnet152d", 60_212_040),
        ("resnet10t", 5_435_488),
        ("resnet14t", 10_081_632),
        ("resnet26t", 16_011_872),
        ("resnet26", 15_995_176),
        ("resnet26d", 16_014_408),
        ("seresnet18", 11_779_624),
        ("seresnet34", 21_960_416),
        ("seresnet50", 28_088_024),
        ("seresnet101", 49_326_872),
        ("seresnet152", 66_821_848),
        ("resnet200", 64_673_832),
        ("resnext101_32x4d", 44_177_704),
        ("resnext101_32x16d", 194_026_792),
        ("resnet200d", 64_693_064),
        ("resnext50d_32x4d", 25_048_136),
        ("resnet50c", 25_576_264),
        ("resnet101c", 44_568_392),
        ("resnet152c", 60_212_040),
        ("resnet50s", 25_680_808),
        ("resnet101s", 44_672_936),
        ("resnet152s", 60_316_584),
        ("resnet50t", 25_573_728),
        ("seresnext50_32x4d", 27_559_896),
        ("seresnext101_32x4d", 48_955_416),
        ("seresnext101_32x8d", 93_569_048),
        ("seresnext26d_32x4d", 16_809_512),
        ("seresnet50t", 28_104_720),
        ("seresnet152d", 66_841_080),
        ("seresnetaa50d", 28_107_256),
        ("ecaresnet26t", 16_011_916),
        ("ecaresnet50t", 25_573_814),
        ("ecaresnet50d", 25_576_350),
        ("ecaresnet101d", 44_568_563),
        ("resnetrs50", 35_691_912),
        ("resnetrs101", 63_618_696),
        ("resnetrs152", 86_621_576),
        ("resnetrs200", 93_209_992),
        ("resnetaa50", 25_557_032),
        ("resnetaa34d", 21_816_904),
        ("resnetaa50d", 25_576_264),
        ("resnetaa101d", 44_568_392),
        ("resnetblur18", 11_689_512),
        ("resnetblur50", 25_557_032),
        ("resnetblur50d", 25_576_264),
        ("resnetblur101d", 44_568_392),
        ("resnet50_gn", 25_557_032),
        ("resnetv2_50", 25_549_352),
        ("resnetv2_101", 44_541_480),
        ("resnetv2_152", 60_185_128),
    ] {
        assert_eq!(description(name).parameters, parameters, "{name}");
    }
}

/// torchvision's documentation of its models, in 10⁷ multiply-adds.
#[test]
fn networks_have_as_many_multiply_adds_as_torchvision_documents() {
    for (name, printed) in [
        ("resnet50", 409),
        ("resnet101", 780),
        ("resnet152", 1151),
        ("wide_resnet50_2", 1140),
        ("wide_resnet101_2", 2275),
        ("resnext50_32x4d", 423),
        ("resnext101_32x8d", 1641),
        ("resnext101_64x4d", 1546),
        ("vgg11", 761),
        ("vgg13", 1131),
        ("vgg16", 1547),
        ("vgg19", 1963),
    ] {
        assert_eq!((description(name).multiply_adds + 5_000_000) / 10_000_000, printed, "{name}");
    }
}

/// He et al. 2015, Table 1 and section 4.2.
#[test]
fn stages_have_the_sizes_that_the_paper_states() {
    let sizes = |name| -> Vec<_> {
        let stages = description(name).stages;
        stages.iter().map(|row| (row.stage.to_string(), row.output)).collect()
    };
    let stage = |name: &str, output| (name.to_owned(), output);
    let imagenet = [
        stage("conv1", [64, 112, 112]),
        stage("conv2_x", [256, 56, 56]),
        stage("conv3_x", [512, 28, 28]),
        stage("conv4_x", [1024, 14, 14]),
        stage("conv5_x", [2048, 7, 7]),
        stage("head", [1000, 1, 1]),
    ];
    let cifar = [
        stage("conv1", [16, 32, 32]),
        stage("conv2_x", [16, 32, 32]),
        stage("conv3_x", [32, 16, 16]),
        stage("conv4_x", [64, 8, 8]),
        stage("head", [10, 1, 1]),
    ];
    assert_eq!(sizes("resnet50"), imagenet);
    assert_eq!(sizes("resnet50-v1"), imagenet);
    assert_eq!(sizes("resnet56"), cifar);
}

/// The number in a network's name is its number of layers with weights, without shortcuts.
#[test]
fn the_depth_of_a_network_matches_its_name() {
    let has_its_depth = |row: &&Architecture| !matches!(row.family, Family::Inverted(_));
    for row in ARCHITECTURES.iter().filter(has_its_depth) {
        let layers = Network::expand(row, row.classes).layers;
        let weighted = layers.iter().filter(|layer| match layer.kind {
            // The three convolutions of a deep stem count as one.
            LayerKind::Convolution { .. } => {
                !layer.name.contains("downsample")
                    && !layer.name.contains(".se.")
                    && !["conv1.0", "conv1.3", "maxpool.0"].contains(&&*layer.name)
            }
            LayerKind::Linear { .. } => true,
            LayerKind::Pixels
            | LayerKind::BatchNorm { .. }
            | LayerKind::GroupNorm { .. }
            | LayerKind::AcrossChannels { .. }
            | LayerKind::Activation(_)
            | LayerKind::Sigmoid
            | LayerKind::MaxPool { .. }
            | LayerKind::HalvingPool
            | LayerKind::FloorPool
            | LayerKind::Blur { .. }
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::Scale
            | LayerKind::AveragePool { .. } => false,
        });
        let name = row.name.trim_start_matches("resnetv2_"); // the second version
        let number = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let depth = number.split(|letter: char| !letter.is_ascii_digit()).next().unwrap();
        assert_eq!(weighted.count().to_string(), depth, "{}", row.name);
    }
}

#[test]
fn the_tensors_of_a_downsampling_bottleneck_are_named_as_in_torchvision() {
    let layers = network("resnet50").layers;
    let block = layers.iter().filter(|layer| layer.name.starts_with("layer2.0."));
    let names: Vec<_> = block.map(|layer| &layer.name["layer2.0.".len()..]).collect();
    assert_eq!(
        names.join(" "),
        "conv1 bn1 relu1 conv2 bn2 relu2 conv3 bn3 downsample.0 downsample.1 add relu"
    );
    let shapes: Vec<_> = network("resnet50").tensors().into_iter().take(6).collect();
    assert_eq!(shapes[0].name, "conv1.weight");
    assert_eq!(shapes[0].shape, [64, 3, 7, 7]);
    assert_eq!(shapes[4].name, "bn1.running_var");
    assert_eq!(shapes[5].name, "layer1.0.conv1.weight");
}

#[test]
fn the_convolution_that_the_row_names_has_the_stride() {
    let stride = |name: &str, layer: &str| {
        let layers = network(name).layers;
        let layer = layers.into_iter().find(|candidate| candidate.name == layer).unwrap();
        let LayerKind::Convolution { to, .. } = layer.kind else { panic!("{layer:?}") };
        to.stride
    };
    assert_eq!(stride("resnet50", "layer2.0.conv1"), 1);
    assert_eq!(stride("resnet50", "layer2.0.conv2"), 2);
    assert_eq!(stride("resnet50-v1", "layer2.0.conv1"), 2);
    assert_eq!(stride("resnet50-v1", "layer2.0.conv2"), 1);
}

/// 16 channels become 32: eight zeros, the sixteen, eight zeros.
#[test]
fn zero_padding_puts_half_of_the_zeros_on_each_side() {
    let layers = network("resnet20").layers;
    let shortcut = layers.iter().find(|layer| layer.name == "layer2.0.shortcut").unwrap();
    assert_eq!(shortcut.kind, LayerKind::ZeroPad { from: 16, padding: 8 });
    assert_eq!(shortcut.stage, Stage::Blocks(1));
}

/// He et al. 2015, section 3.3: A adds no parameters, B some, C some in every block.
#[test]
fn shortcut_options_differ_in_their_projections() {
    let projections = |name: &str| {
        let layers = network(name).layers;
        layers.iter().filter(|layer| layer.name.ends_with("downsample.0")).count()
    };
    assert_eq!(["plain34", "resnet34-a", "resnet34", "resnet34-c"].map(projections), [0, 0, 3, 16]);
    let adds = |name: &str| {
        let layers = network(name).layers;
        layers.iter().filter(|layer| layer.kind == LayerKind::Add).count()
    };
    assert_eq!(["plain34", "resnet34-a", "resnet34", "resnet34-c"].map(adds), [0, 16, 16, 16]);
}

/// Xie et al. 2017, Table 1: 32 groups of 4 channels read only their own 4.
#[test]
fn grouped_convolutions_read_only_their_group() {
    let tensors = network("resnext50_32x4d").tensors();
    let tensor = tensors.iter().find(|tensor| tensor.name == "layer1.0.conv2.weight").unwrap();
    assert_eq!(tensor.shape, [128, 4, 3, 3]);
}

#[test]
fn the_error_for_an_unknown_name_lists_the_known_names() {
    let message = arch::find("resnet-50").unwrap_err().to_string();
    assert!(message.starts_with("unknown architecture \"resnet-50\""), "{message}");
    assert!(message.contains("resnet50, resnet101"), "{message}");
}

#[test]
fn an_odd_input_is_rounded_up_at_every_stride() {
    let sizes: Vec<_> =
        network("resnet18").describe([225, 1]).stages.iter().map(|row| row.output).collect();
    assert_eq!(sizes[0], [64, 113, 1]);
    assert_eq!(sizes[4], [512, 8, 1]);
}

/// Five pools that round down reduce 31 pixels to 0. Residual networks round up.
#[test]
fn a_card_with_too_small_an_input_is_rejected() {
    assert!(network("vgg16").takes([32, 32]));
    assert!(!network("vgg16").takes([32, 31]));
    assert!(network("resnet50").takes([1, 1]));
}

#[test]
fn a_model_has_the_promised_inputs_outputs_and_metadata() {
    let model = model("resnet20");
    assert_eq!(model.inputs().collect::<Vec<_>>(), ["pixels"]);
    let outputs: Vec<_> = model.outputs().collect();
    assert_eq!(outputs, ["logits", "probabilities", "embedding", "feature_map"]);
    assert_eq!(model.metadata("key"), Some("value"));
    assert_eq!(OnnxModel::from_bytes(&model.to_bytes()[..]), Ok(model));
}

#[test]
fn the_same_weights_give_the_same_bytes() {
    assert_eq!(model("resnet20").to_bytes(), model("resnet20").to_bytes());
}

/// The most common network is detected for the tensors of each row.
#[test]
fn the_architecture_is_detected_from_tensors() {
    let plain = [
        ["plain34", "resnet34-a"],
        ["resnet20", "plain20"],
        ["resnet32", "plain32"],
        ["resnet44", "plain44"],
        ["resnet56", "plain56"],
        ["resnet110", "plain110"],
    ];
    for row in ARCHITECTURES {
        let weights = Weights::without_elements(&Network::expand(row, 7).tensors());
        match (infer(&weights, "best"), plain.iter().find(|twins| twins.contains(&row.name))) {
            (Ok(Guess { inferred, others }), None) => {
                assert_eq!(inferred.classes, 7);
                let (found, all) =
                    (inferred.architecture.name, [&others[..], &[row.name]].concat());
                assert!(found == row.name || others.contains(&row.name), "{found} for {all:?}");
                assert!(!found.contains("blur") && !found.contains("-v1"), "{found}");
            }
            (Err(NotInferred::Ambiguous(names)), Some(twins)) => assert_eq!(names, twins),
            (other, _) => panic!("{}: {other:?}", row.name),
        }
    }
}

/// `preactivation.rs` ignores all other choices, so a row with them would be another network than its name says.
#[test]
fn rows_of_resnet_v2_have_only_choices_that_apply_to_it() {
    let choices = |row: &Architecture| match row.family {
        Family::Residual(choices) => Some(choices),
        Family::Vgg(_) | Family::Inverted(_) => None,
    };
    let usual = choices(arch::find("resnet50").unwrap()).unwrap();
    let mut checked = 0;
    for row in arch::all() {
        let Some(found) = choices(row) else { continue };
        if found.normalization == Normalization::PreActivation {
            let (normalization, block, groups) = (found.normalization, found.block, found.groups);
            assert_eq!(found, Residual { block, groups, normalization, ..usual }, "{}", row.name);
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked} rows");
}

/// File names of torchvision and timm.
#[test]
fn the_file_name_decides_among_networks_with_the_same_tensors() {
    let weights = |name: &str| Weights::without_elements(&network(name).tensors());
    let found = |tensors: &str, file: &str| {
        let Guess { inferred, others } = infer(&weights(tensors), file).unwrap();
        (inferred.architecture.name, others.join(" "))
    };
    assert_eq!(found("resnet50", "resnet50-0676ba61"), ("resnet50", String::new()));
    assert_eq!(found("resnet50", "resnetblur50-84f4748f"), ("resnetblur50", String::new()));
    assert_eq!(found("resnet50", "resnet50-v1"), ("resnet50-v1", String::new()));
    let others = "resnet50-v1 resnetaa50 resnetblur50".to_owned();
    assert_eq!(found("resnet50", "resnet500"), ("resnet50", others));
    assert_eq!(found("resnet18", "best"), ("resnet18", "resnetblur18".to_owned()));
    assert_eq!(found("resnet18", "resnet18-gelu_best"), ("resnet18-gelu", String::new()));
    assert_eq!(found("resnet18-stride64", "best"), ("resnet18-stride64", String::new()));
    assert_eq!(found("resnet20", "plain20_best"), ("plain20", String::new()));
    assert_eq!(found("vgg16", "model"), ("vgg16", String::new()));
}

#[test]
fn unknown_weights_are_compared_with_the_closest_architecture() {
    let mut specs = network("resnet18").tensors();
    specs[0].shape = vec![32, 3, 7, 7];
    specs.retain(|spec| spec.name != "layer1.0.bn1.weight");
    let error = infer(&Weights::without_elements(&specs), "best").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"
    the weights fit no supported architecture; the closest is resnet18:
    misshapen conv1.weight, expected [64, 3, 7, 7], found [32, 3, 7, 7]
    missing layer1.0.bn1.weight, expected [64]
    ");
}

#[test]
fn the_family_of_an_unsupported_network_is_named() {
    let spec =
        |name: &str, shape: &[usize]| TensorSpec { name: name.to_owned(), shape: shape.to_vec() };
    let specs = [
        spec("blocks.0.attn.qkv.weight", &[2304, 768]),
        spec("cls_token", &[1, 1, 768]),
        spec("patch_embed.proj.weight", &[768, 3, 16, 16]),
    ];
    let error = infer(&Weights::without_elements(&specs), "best").unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"
    the weights belong to no supported network: they look like those of a vision transformer (ViT); their first tensors are:
    blocks.0.attn.qkv.weight [2304, 768]
    cls_token [1, 1, 768]
    patch_embed.proj.weight [768, 3, 16, 16]
    hint: export the network to ONNX, in Python: torch.onnx.export(model.eval(), torch.randn(1, 3, 224, 224), "model.onnx"), and write a card beside it, model.toml (docs/models.md shows one)
    "#);
}
