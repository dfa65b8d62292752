//! The last part of a graph, from the feature map to the logits, needed for class activation maps.

use bytes::Bytes;

use crate::onnx::OnnxModel;
use crate::onnx::proto::NodeProto;
use crate::onnx::proto::tensor_proto::DataType;
use crate::pipeline::{NotOffered, Output};

/// A linear classifier after global average pooling.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// f32 `[classes, channels]`.
    weight: Vec<f32>,
    /// f32 `[classes]`.
    bias: Vec<f32>,
}

/// What a model supports besides classification.
#[derive(Debug, Clone)]
pub struct Capabilities {
    head: Result<Head, NotOffered>,
    embedding: Result<(), NotOffered>,
}

impl Capabilities {
    /// A model that only classifies.
    #[must_use]
    pub fn nothing() -> Self {
        Self { head: Err(NotOffered::NoFeatureMap), embedding: Err(NotOffered::NoEmbedding) }
    }

    /// The capabilities of the ONNX model in `bytes`, which has this number of classes.
    #[must_use]
    pub fn of(bytes: Bytes, classes: usize) -> Self {
        let Ok(model) = OnnxModel::from_bytes(bytes) else { return Self::nothing() };
        let has = |output: Output| model.outputs().any(|name| name == output.name());
        let head = if has(Output::FeatureMap) {
            Head::find(&model, classes)
                .or_else(|| Head::find_int8(&model, classes))
                .ok_or(NotOffered::OtherHead)
        } else {
            Err(NotOffered::NoFeatureMap)
        };
        let embedding = if has(Output::Embedding) { Ok(()) } else { Err(NotOffered::NoEmbedding) };
        Self { head, embedding }
    }

    /// The head, needed for maps.
    ///
    /// # Errors
    ///
    /// [`NotOffered`] if the graph has no feature map, or processes it in another way.
    pub fn head(&self) -> Result<&Head, NotOffered> {
        self.head.as_ref().map_err(|why| *why)
    }

    /// Whether the output `embedding` is available.
    ///
    /// # Errors
    ///
    /// [`NotOffered::NoEmbedding`].
    pub fn embedding(&self) -> Result<(), NotOffered> {
        self.embedding
    }
}

impl Head {
    /// Walks from the logits back to the feature map. Each step must be one for which the map is exact.
    fn find(model: &OnnxModel, classes: usize) -> Option<Self> {
        let flatten = producer(model, Output::Logits.name(), "Flatten")?;
        let linear = producer(model, flatten.input.first()?, "Conv")?;
        let [pooled, weight, bias] = &linear.input[..] else { return None };
        let pool = producer(model, pooled, "GlobalAveragePool")?;
        let (weight_shape, weight) = constant(model, weight)?;
        let (_, bias) = constant(model, bias)?;
        let fits = pool.input.first()? == Output::FeatureMap.name()
            && matches!(weight_shape, [_, _, 1, 1])
            && weight.len() % classes.max(1) == 0
            && bias.len() == classes;
        fits.then_some(Self { weight, bias })
    }

    /// The same for the graph that `resnetd quantize` creates, in which the pooled features and the weights
    /// are integers: the map is exact except for the rounding of the pooled features.
    fn find_int8(model: &OnnxModel, classes: usize) -> Option<Self> {
        let linear = producer(model, Output::Logits.name(), "Gemm")?;
        let [rows, weight, bias] = &linear.input[..] else { return None };
        let weight = dequantized(producer(model, weight, "DequantizeLinear")?, model)?;
        let bias = dequantized(producer(model, bias, "DequantizeLinear")?, model)?;
        let rows = input_of(model, rows, "DequantizeLinear")?;
        let pooled = input_of(model, input_of(model, rows, "Flatten")?, "QuantizeLinear")?;
        let map = input_of(model, pooled, "GlobalAveragePool")?;
        let fits = input_of(model, map, "DequantizeLinear")?
            == input_of(model, Output::FeatureMap.name(), "DequantizeLinear")?
            && weight.len() % classes.max(1) == 0
            && bias.len() == classes;
        fits.then_some(Self { weight, bias })
    }

    /// f32 `[channels]`, the weight of each channel for `class`.
    #[must_use]
    pub fn weight(&self, class: usize) -> &[f32] {
        let channels = self.weight.len() / self.bias.len();
        &self.weight[class * channels..][..channels]
    }

    /// The score of `class` if all features are 0.
    #[must_use]
    pub fn bias(&self, class: usize) -> f32 {
        self.bias[class]
    }
}

fn producer<'a>(model: &'a OnnxModel, value: &str, operator: &str) -> Option<&'a NodeProto> {
    model.producer_of(value).filter(|node| node.op_type() == operator)
}

/// The first input of the node with this operator that computes `value`.
fn input_of<'a>(model: &'a OnnxModel, value: &str, operator: &str) -> Option<&'a str> {
    producer(model, value, operator)?.input.first().map(String::as_str)
}

/// Constants of int8 or int32 with a scale for each row, as float32.
fn dequantized(node: &NodeProto, model: &OnnxModel) -> Option<Vec<f32>> {
    let [ints, scales, ..] = &node.input[..] else { return None };
    let (_, scales) = constant(model, scales)?;
    let ints = model.graph().initializer.iter().find(|tensor| tensor.name() == ints)?;
    let values: Vec<f32> = if ints.data_type() == DataType::Int8 as i32 {
        ints.raw_data().iter().map(|byte| f32::from(byte.cast_signed())).collect()
    } else if ints.data_type() == DataType::Int32 as i32 {
        let (elements, _) = ints.raw_data().as_chunks::<4>();
        #[expect(clippy::cast_precision_loss, reason = "as ONNX Runtime does it")]
        let value = |element: &[u8; 4]| i32::from_le_bytes(*element) as f32;
        elements.iter().map(value).collect()
    } else {
        return None;
    };
    let per_row = values.len() / scales.len().max(1);
    let rows = values.chunks(per_row.max(1)).zip(scales);
    Some(rows.flat_map(|(row, scale)| row.iter().map(move |value| value * scale)).collect())
}

fn constant<'a>(model: &'a OnnxModel, name: &str) -> Option<(&'a [i64], Vec<f32>)> {
    let tensor = model.float_weights().find(|tensor| tensor.name() == name)?;
    Some((&tensor.dims, tensor.floats().collect()))
}
