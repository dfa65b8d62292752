//! The fast code against the portable code, which `pipeline/run/convolution` compares with ONNX Runtime.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn geometries() -> impl Strategy<Value = Geometry> {
    prop_oneof![depthwise(), few_channels(), pointwise()]
}

fn extents(sides: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Extent> {
    (sides.clone(), sides).prop_map(|(rows, columns)| Extent { rows, columns })
}

fn edges() -> impl Strategy<Value = Edges> {
    proptest::array::uniform4(0..=3_usize).prop_map(|[top, left, bottom, right]| Edges {
        top,
        left,
        bottom,
        right,
    })
}

fn depthwise() -> impl Strategy<Value = Geometry> {
    let side = prop_oneof![Just(3_usize), Just(5)];
    (side, 16..100_usize, extents(1..=3), edges()).prop_map(|(side, channels, strides, padding)| {
        let window = Extent { rows: side, columns: side };
        let (inputs, outputs) = (channels, channels);
        Geometry { inputs, outputs, groups: Grouping::PerChannel, window, strides, padding }
    })
}

fn few_channels() -> impl Strategy<Value = Geometry> {
    (1..=4_usize, 16..100_usize, extents(1..=7), extents(1..=3), edges()).prop_map(
        |(inputs, outputs, window, strides, padding)| {
            let groups = Grouping::One;
            Geometry { inputs, outputs, groups, window, strides, padding }
        },
    )
}

/// Also with numbers of inputs that have no fast kernel, and with large images in relation to the cache.
fn pointwise() -> impl Strategy<Value = Geometry> {
    let inputs = prop_oneof![4 => (1..80_usize).prop_map(|fours| fours * 4), 1 => 1..80_usize];
    let outputs = prop_oneof![4 => 16..300_usize, 1 => 1000..2000_usize];
    (inputs, outputs, extents(1..=3)).prop_map(|(inputs, outputs, strides)| Geometry {
        inputs,
        outputs,
        groups: Grouping::One,
        window: Extent { rows: 1, columns: 1 },
        strides,
        padding: Edges { top: 0, left: 0, bottom: 0, right: 0 },
    })
}

fn convolutions() -> impl Strategy<Value = QLinearConv> {
    geometries().prop_flat_map(|geometry| {
        let Extent { rows, columns } = geometry.window;
        let outputs = geometry.outputs;
        let weights = vec(any::<i8>(), outputs * geometry.depth() * rows * columns);
        // Some sums are as large as possible. Scales of one and more have no fast kernel.
        let bias = vec(prop_oneof![9 => -9000..9000_i32, 1 => any::<i32>()], outputs);
        let largest = prop_oneof![9 => Just(1_f32.next_down()), 1 => Just(1e6)];
        let scales = largest.prop_flat_map(move |largest| {
            vec(prop_oneof![9 => 1e-4..1e-2_f32, 1 => 1e-2..=largest], outputs)
        });
        (weights, bias, scales, any::<[u8; 2]>()).prop_map(
            move |(weights, bias, scales, [x_zero, y_zero])| {
                let constants = Constants { weights, bias, scales, x_zero, y_zero };
                QLinearConv::new(geometry, constants).unwrap()
            },
        )
    })
}

proptest! {
    #[test]
    fn fast_kernels_have_the_bits_of_the_portable_code(
        convolution in convolutions(),
        rows in 7..24_usize,
        columns in 7..24_usize,
        seed in any::<u8>(),
    ) {
        let geometry = *convolution.geometry();
        let size = Extent { rows, columns };
        let bytes: Vec<u8> = (0_u32..)
            .map(|place| place.wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed)
            .take(rows * columns * geometry.inputs)
            .collect();
        let image = ImageBytes { bytes: &bytes, size };
        let output = geometry.output(size).unwrap();
        let row = output.columns * geometry.outputs;
        let mut slow = vec![0; output.rows * row];
        ConvolutionKernel::portable(convolution.clone()).rows(image, 0, &mut slow).unwrap();

        // The rows may be computed in parts.
        let mut fast = vec![0; slow.len()];
        let kernel = ConvolutionKernel::new(convolution);
        let half = output.rows / 2;
        let (above, below) = fast.split_at_mut(half * row);
        kernel.rows(image, 0, above).unwrap();
        kernel.rows(image, half, below).unwrap();
        prop_assert_eq!(fast, slow);
    }
}

fn identity() -> QLinearConv {
    let one = Extent { rows: 1, columns: 1 };
    let geometry = Geometry {
        inputs: 1,
        outputs: 1,
        groups: Grouping::PerChannel,
        window: one,
        strides: one,
        padding: Edges { top: 0, left: 0, bottom: 0, right: 0 },
    };
    let constants =
        Constants { weights: vec![1], bias: vec![0], scales: vec![1.0], x_zero: 0, y_zero: 0 };
    QLinearConv::new(geometry, constants).unwrap()
}

#[test]
fn images_and_outputs_of_other_sizes_are_errors() {
    let kernel = ConvolutionKernel::new(identity());
    let rows = |bytes: &[u8], first: usize, out: usize| {
        let image = ImageBytes { bytes, size: Extent { rows: 2, columns: 3 } };
        kernel.rows(image, first, &mut vec![0; out])
    };
    assert_eq!(rows(&[0; 6], 0, 6), Ok(()));
    assert_eq!(rows(&[0; 5], 0, 6), Err(Mismatch::Image));
    assert_eq!(rows(&[0; 6], 0, 5), Err(Mismatch::Output));
    assert_eq!(rows(&[0; 6], 1, 6), Err(Mismatch::Output));
}

#[test]
fn constants_that_do_not_fit_are_errors() {
    let convolution = identity();
    let geometry = *convolution.geometry();
    let with = |change: fn(&mut Constants)| {
        let mut constants = convolution.constants().clone();
        change(&mut constants);
        QLinearConv::new(geometry, constants).map(drop)
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|constants| constants.weights.push(1)), Err(Mismatch::Constants));
    assert_eq!(with(|constants| constants.bias.clear()), Err(Mismatch::Constants));
    assert_eq!(with(|constants| constants.scales[0] = f32::NAN), Err(Mismatch::Constants));
    let geometry = Geometry { outputs: 2, ..geometry };
    let constants = convolution.constants().clone();
    assert_eq!(QLinearConv::new(geometry, constants).map(drop), Err(Mismatch::Geometry));
}
