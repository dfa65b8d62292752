//! The independent choices of an architecture.

use crate::weights::Framework;

/// One network: the free choices of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// What people call it, as in `--arch resnet50`.
    pub name: &'static str,
    /// What it is built from.
    pub family: Family,
    /// How many blocks each stage has; for VGG, how many convolutions.
    pub blocks: &'static [usize],
    /// Channels of the first stage's basic blocks; a bottleneck gives four times as many. Those of the
    /// stem's output, unless the stem names others.
    pub width: usize,
    /// Height and width of the pictures it was designed for, in pixels.
    pub input: [u32; 2],
    /// Number of classes it was designed for.
    pub classes: usize,
}

/// What a network is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A stem, stages of blocks, the mean of the last map, one linear layer. A stage halves the
    /// picture and doubles the width, except the first, which takes both as they are.
    Residual(Residual),
    /// Stages of 3×3 convolutions, each ended by a max pool that halves the picture; a stage has
    /// twice the channels of the one before, at most eight times the width. Three linear layers
    /// (Table 1 of its paper).
    Vgg(Norm),
    /// A stem, seven stages of inverted residual blocks, a 1×1 convolution, the mean of its map, one
    /// linear layer (Sandler et al. 2018, "`MobileNetV2`", Table 2; arXiv:1801.04381).
    Inverted(Inverted),
}

/// The choices of a net of inverted residual blocks. Its stem's channels are the row's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inverted {
    /// Channels that come out of each stage's blocks.
    pub channels: [usize; 7],
    /// Height and width of the depthwise kernels of each stage.
    pub kernels: [usize; 7],
    /// Channels of the last 1×1 convolution.
    pub head: usize,
    /// The framework in which the weights were trained.
    pub framework: Framework,
}

/// The choices of a residual net, and of its plain counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residual {
    /// What comes before the first block.
    pub stem: Stem,
    /// What every block is made of. A basic block of the first stage gives as many channels as the
    /// stem, a bottleneck four times as many.
    pub block: Block,
    /// How the first stage's 3×3 convolutions are grouped.
    pub groups: Groups,
    /// How the input reaches the end of a block.
    pub shortcut: Shortcut,
    /// What weighs the channels of a block's branch.
    pub attention: Attention,
    /// How a block's 3×3 convolution halves the picture.
    pub sampling: Sampling,
    /// What follows convolutions, and where.
    pub normalization: Normalization,
}

/// How a block's 3×3 convolution with stride 2 halves the picture, and the stem's max pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// It skips every second pixel.
    Strided,
    /// It has stride 1, and a 2×2 average pool follows its rectifier. The pool of the stem is one too.
    Averaged,
    /// It has stride 1, and every second pixel of a blurred map follows its rectifier. The max pool of the
    /// stem has stride 1, and is blurred too (Zhang 2019, section 3).
    Blurred,
}

/// What follows convolutions, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Batch norm after each convolution.
    Batch,
    /// Group norm in 32 groups after each convolution (Wu and He 2018).
    Group,
    /// Batch norm and rectifier before each convolution of a block (He et al. 2016, Figure 1b).
    PreActivation,
}

/// What follows each convolution of a VGG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Only its rectifier.
    None,
    /// Batch norm, as in torchvision's `_bn` nets.
    Batch,
}

/// What comes before the first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// 7×7 convolution with stride 2, then 3×3 max pool with stride 2 (Table 1).
    Conv7x7MaxPool,
    /// Three 3×3 convolutions, the first with stride 2, then 3×3 max pool with stride 2
    /// (`ResNet-C` in "Bag of tricks", Figure 2). Channels of each.
    Deep3x3MaxPool([usize; 3]),
    /// The same with a fourth 3×3 convolution of stride 2 instead of the max pool (`ResNet-RS`).
    Deep3x3([usize; 3]),
    /// 3×3 convolution with stride 1 (section 4.2).
    Conv3x3,
    /// 3×3 convolution with stride 1, then 3×3 max pool with stride 2: torchvision's network with another
    /// first convolution, as some people train it on CIFAR.
    Conv3x3MaxPool,
}

/// What weighs the channels of a block's branch, before the shortcut is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Nothing.
    None,
    /// Squeeze and excitation: the channels' means, through so many times fewer, give a factor for
    /// each (Hu et al. 2018, section 3).
    SqueezeExcitation(usize),
    /// Efficient channel attention: the channels' means, convolved with their neighbours', give a factor
    /// for each (Wang et al. 2019, section 3).
    EfficientChannel,
}

/// What a block's residual branch is made of (Figure 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1 to reduce, 3×3, and 1×1 to restore four times the width.
    Bottleneck(Stride),
}

/// Which convolution of a bottleneck halves the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stride {
    /// The first 1×1, as in the paper and its released models ("v1").
    On1x1,
    /// The 3×3, as in torchvision ("v1.5"): half a point of accuracy for a few per cent of work.
    On3x3,
}

/// The groups of a 3×3 convolution, each of which reads only its own channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// How many: the "cardinality" of `ResNeXt`, else 1.
    pub count: usize,
    /// Channels of each in the first stage; every later stage doubles them.
    pub width: usize,
}

/// How the input reaches the end of a block (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Not at all: a plain network.
    None,
    /// Option B: as it is; where the block changes its shape, through a 1×1 convolution and its
    /// batch norm.
    Projection,
    /// Option B with a 2×2 average pool in the place of the projection's stride, so that no pixel
    /// is skipped (`ResNet-D` in "Bag of tricks", Figure 2).
    PooledProjection,
    /// Option C: through a 1×1 convolution and its batch norm in every block.
    ProjectionAlways,
    /// Option A: as it is; where the block changes its shape, every second row and column, with
    /// half of the new zero channels before the old ones and half after them. The paper does not
    /// say which side; weights trained with all zeros after do not fit.
    ZeroPad,
}
