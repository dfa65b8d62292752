//! The independent choices of an architecture.

use crate::weights::Framework;

/// A network: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Its name, as in `--arch resnet50`.
    pub name: &'static str,
    /// Its structure.
    pub family: Family,
    /// Number of blocks of each stage; for VGG, number of convolutions.
    pub blocks: &'static [usize],
    /// Output channels of the stem, unless it specifies them. A bottleneck of the first stage has four times as many output
    /// channels; those of basic blocks are in [`Groups`]. For VGG, channels of the first stage.
    pub base_channels: usize,
    /// Height and width of the images that it was designed for, in pixels.
    pub input: [u32; 2],
    /// Number of classes it was designed for.
    pub classes: usize,
}

/// The structure of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A stem, stages of blocks, global average pooling and a linear layer. Each stage except the first
    /// (that too with [`FirstStage::Halved`]) halves height and width and doubles the channels.
    Residual(Residual),
    /// Stages of 3×3 convolutions, each followed by a max pool that halves height and width, and three linear
    /// layers. Each stage has twice the channels of the previous one, at most eight times `base_channels` (Table 1 of
    /// its paper).
    Vgg(Norm),
    /// A stem, seven stages of inverted residual blocks, a 1×1 convolution, global average pooling and a
    /// linear layer (Sandler et al. 2018, "`MobileNetV2`", Table 2; arXiv:1801.04381).
    Inverted(Inverted),
}

/// The choices of a network of inverted residual blocks. The row's `base_channels` are those of
/// the stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inverted {
    /// Output channels of the blocks of each stage.
    pub channels: [usize; 7],
    /// Height and width of the depthwise kernels of each stage.
    pub kernels: [usize; 7],
    /// Output channels of the last 1×1 convolution.
    pub head: usize,
    /// The framework in which the weights were trained.
    pub framework: Framework,
}

/// The choices of a residual network, or of a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residual {
    /// The layers before the first block.
    pub stem: Stem,
    /// The convolutions of each block.
    pub block: Block,
    /// How the first stage's 3×3 convolutions are grouped.
    pub groups: Groups,
    /// The shortcut of each block.
    pub shortcut: Shortcut,
    /// The channel attention of each block's residual branch.
    pub attention: Attention,
    /// How a block's 3×3 convolution halves height and width.
    pub sampling: Sampling,
    /// The kind and place of the norms.
    pub normalization: Normalization,
    /// The function after the stem's convolutions and after each block's sum. Within a block it is ReLU, as in
    /// Hugging Face transformers.
    pub activation: Activation,
    /// Whether the first stage halves height and width, too.
    pub first_stage: FirstStage,
}

/// A function of each element, after a norm or a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · Φ(x)`, where Φ is the distribution function of the standard normal distribution (Hendrycks and
    /// Gimpel 2016, arXiv:1606.08415), computed with the error function, not with its approximation by `tanh`.
    Gelu,
    /// `x / (1 + exp(−x))`, also called swish (same paper).
    Silu,
}

impl Activation {
    /// Its usual name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
        }
    }
}

/// The size of the first stage's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStage {
    /// That of the stem's output (Table 1).
    Kept,
    /// Half of it, as in each later stage: `downsample_in_first_stage` of Hugging Face transformers.
    Halved,
}

/// How a block's 3×3 convolution with stride 2 halves height and width, and the stem's max pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// With stride 2.
    Strided,
    /// With stride 1, and a 2×2 average pool after its ReLU. In the stem, such a pool replaces the max pool.
    Averaged,
    /// With stride 1, and a blur with stride 2 after its ReLU. The max pool of the stem also has stride 1 and
    /// is followed by such a blur (Zhang 2019, section 3).
    Blurred,
}

/// The kind and place of the norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Batch norm after each convolution.
    Batch,
    /// Group norm in 32 groups after each convolution (Wu and He 2018).
    Group,
    /// Batch norm and ReLU before each convolution of a block (He et al. 2016, Figure 1b).
    PreActivation,
}

/// The norm after each convolution of a VGG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// No norm.
    None,
    /// Batch norm, as in the networks of torchvision that end in `_bn`.
    Batch,
}

/// The layers before the first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// 7×7 convolution with stride 2, then 3×3 max pool with stride 2 (Table 1).
    Conv7x7MaxPool,
    /// Three 3×3 convolutions, the first with stride 2, then 3×3 max pool with stride 2 (`ResNet-C` in "Bag
    /// of tricks", Figure 2). The numbers are their output channels.
    Deep3x3MaxPool([usize; 3]),
    /// The same with a fourth 3×3 convolution of stride 2 instead of the max pool (`ResNet-RS`).
    Deep3x3([usize; 3]),
    /// 3×3 convolution with stride 1 (section 4.2).
    Conv3x3,
    /// 3×3 convolution with stride 1, then 3×3 max pool with stride 2: torchvision's network with another
    /// first convolution, which is used for CIFAR.
    Conv3x3MaxPool,
}

/// Channel attention of a block's residual branch, before the shortcut is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Nothing.
    None,
    /// Squeeze and excitation: two fully connected layers compute a factor for each channel from the
    /// channels' means. The number is the reduction between them (Hu et al. 2018, section 3).
    SqueezeExcitation(usize),
    /// Efficient channel attention: a convolution along the channels' means computes a factor for each
    /// channel (Wang et al. 2019, section 3).
    EfficientChannel,
}

/// The convolutions of a block's residual branch (Figure 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// A 1×1 convolution that reduces the channels, a 3×3 convolution, and a 1×1 convolution that expands
    /// them to four times those of a basic block.
    Bottleneck(Stride),
}

/// Which convolution of a bottleneck has stride 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stride {
    /// The first 1×1, as in the paper and its released models ("v1").
    On1x1,
    /// The 3×3, as in torchvision ("v1.5"): half a point more accuracy for a few per cent more multiply-adds.
    On3x3,
}

/// The groups of a 3×3 convolution, each of which reads only its own channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// Number of groups, the "cardinality" of `ResNeXt`; otherwise 1.
    pub count: usize,
    /// Channels of each group in the first stage; every later stage doubles them.
    pub channels: usize,
}

/// The shortcut from a block's input to its output (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// None: a plain network.
    None,
    /// Option B: identity. If the block changes the shape, a 1×1 convolution and batch norm.
    Projection,
    /// Option B with a 2×2 average pool instead of the projection's stride (`ResNet-D` in "Bag of tricks",
    /// Figure 2).
    PooledProjection,
    /// Option C: a 1×1 convolution and batch norm in every block.
    ProjectionAlways,
    /// Option A: identity. If the block changes the shape, every second row and column, with half of the new
    /// zero channels before the existing ones and half after. The paper does not say where the zeros are;
    /// weights trained with all zeros after the channels give wrong results.
    ZeroPad,
}
