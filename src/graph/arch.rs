//! The table of networks: one row each, holding only what the network is free to choose.
//!
//! Channels, strides, names and shapes follow from the row by the paper's rules; `network.rs`
//! applies them. The paper is He, Zhang, Ren and Sun 2015, "Deep residual learning for image
//! recognition" (arXiv:1512.03385); the wide nets are from Zagoruyko and Komodakis 2016
//! (arXiv:1605.07146), the `ResNeXt` from Xie et al. 2017 (arXiv:1611.05431), the
//! `ResNet-D` from He, T. et al. 2019, "Bag of tricks" (arXiv:1812.01187).

use Block::{Basic, Bottleneck};
use Shortcut::{PooledProjection, Projection, ProjectionAlways, ZeroPad};
use Stride::{On1x1, On3x3};

/// Every network we build, with its parameters and multiply-adds.
///
/// The first four groups are the paper's Table 1 and what its section 4.1 compares with it, the
/// next two are torchvision's, the next is timm's, the last two are the paper's section 4.2.
#[rustfmt::skip] // columns stay columns
pub const ARCHITECTURES: &[Architecture] = &[
    imagenet("resnet18",     Basic,             &[2, 2,  2, 2]), // 11.7 M   1.8 G
    imagenet("resnet34",     Basic,             &[3, 4,  6, 3]), // 21.8 M   3.7 G

    imagenet("resnet50",     Bottleneck(On3x3), &[3, 4,  6, 3]), // 25.6 M   4.1 G
    imagenet("resnet101",    Bottleneck(On3x3), &[3, 4, 23, 3]), // 44.5 M   7.8 G
    imagenet("resnet152",    Bottleneck(On3x3), &[3, 8, 36, 3]), // 60.2 M  11.5 G

    imagenet("resnet50-v1",  Bottleneck(On1x1), &[3, 4,  6, 3]), // 25.6 M   3.9 G
    imagenet("resnet101-v1", Bottleneck(On1x1), &[3, 4, 23, 3]), // 44.5 M   7.6 G
    imagenet("resnet152-v1", Bottleneck(On1x1), &[3, 8, 36, 3]), // 60.2 M  11.3 G

    plain(imagenet("plain18", Basic, &[2, 2, 2, 2])),                     // 11.5 M   1.8 G
    plain(imagenet("plain34", Basic, &[3, 4, 6, 3])),                     // 21.6 M   3.6 G
    with(ZeroPad,          imagenet("resnet34-a", Basic, &[3, 4, 6, 3])), // 21.6 M   3.6 G
    with(ProjectionAlways, imagenet("resnet34-c", Basic, &[3, 4, 6, 3])), // 22.7 M   3.8 G

    grouped(1, 128, imagenet("wide_resnet50_2",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  68.9 M  11.4 G
    grouped(1, 128, imagenet("wide_resnet101_2",  Bottleneck(On3x3), &[3, 4, 23, 3])), // 126.9 M  22.8 G

    grouped(32, 4,  imagenet("resnext50_32x4d",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  25.0 M   4.2 G
    grouped(32, 8,  imagenet("resnext101_32x8d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  88.8 M  16.4 G
    grouped(64, 4,  imagenet("resnext101_64x4d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  83.5 M  15.5 G

    deep(imagenet("resnet18d",  Basic,             &[2, 2,  2, 2])), // 11.7 M   2.1 G
    deep(imagenet("resnet34d",  Basic,             &[3, 4,  6, 3])), // 21.8 M   3.9 G
    deep(imagenet("resnet50d",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.6 M   4.3 G
    deep(imagenet("resnet101d", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.6 M   8.0 G
    deep(imagenet("resnet152d", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.8 G

    cifar("resnet20",   &[  3,   3,   3]), //  0.27 M   0.04 G
    cifar("resnet32",   &[  5,   5,   5]), //  0.46 M   0.07 G
    cifar("resnet44",   &[  7,   7,   7]), //  0.66 M   0.10 G
    cifar("resnet56",   &[  9,   9,   9]), //  0.85 M   0.13 G
    cifar("resnet110",  &[ 18,  18,  18]), //  1.7  M   0.25 G
    cifar("resnet1202", &[200, 200, 200]), // 19.4  M   2.8  G

    plain(cifar("plain20",  &[ 3,  3,  3])), // 0.27 M   0.04 G
    plain(cifar("plain32",  &[ 5,  5,  5])), // 0.46 M   0.07 G
    plain(cifar("plain44",  &[ 7,  7,  7])), // 0.66 M   0.10 G
    plain(cifar("plain56",  &[ 9,  9,  9])), // 0.85 M   0.13 G
    plain(cifar("plain110", &[18, 18, 18])), // 1.7  M   0.25 G
];

/// One network: the free choices of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// What people call it, as in `--arch resnet50`.
    pub name: &'static str,
    /// What comes before the first block.
    pub stem: Stem,
    /// What every block is made of.
    pub block: Block,
    /// How many blocks each stage has. A stage halves the picture and doubles the width, except
    /// the first, which takes both as they are.
    pub blocks: &'static [usize],
    /// Channels of the stem. A basic block of the first stage gives as many, a bottleneck four
    /// times as many.
    pub width: usize,
    /// How the first stage's 3×3 convolutions are grouped.
    pub groups: Groups,
    /// How the input reaches the end of a block.
    pub shortcut: Shortcut,
    /// Height and width of the pictures it was designed for, in pixels.
    pub input: [u32; 2],
    /// Number of classes it was designed for.
    pub classes: usize,
}

/// What comes before the first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// 7×7 convolution with stride 2, then 3×3 max pool with stride 2 (Table 1).
    Conv7x7MaxPool,
    /// Three 3×3 convolutions, the first with stride 2 and the first two half as wide, then 3×3 max
    /// pool with stride 2 (`ResNet-C` in "Bag of tricks", Figure 2).
    Deep3x3MaxPool,
    /// 3×3 convolution with stride 1 (section 4.2).
    Conv3x3,
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
    /// Option A: as it is; where the block changes its shape, every second row and column, with half of the new zero channels before the old
    /// ones and half after them. The paper does not say which side; weights trained with all
    /// zeros after do not fit.
    ZeroPad,
}

/// The row called `name`.
///
/// # Errors
/// [`UnknownArchitecture`], which lists the names there are.
pub fn find(name: &str) -> Result<&'static Architecture, UnknownArchitecture> {
    ARCHITECTURES
        .iter()
        .find(|row| row.name == name)
        .ok_or_else(|| UnknownArchitecture { name: name.to_owned() })
}

/// No row has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no architecture is called {name:?}; there are {}", names().join(", "))]
pub struct UnknownArchitecture {
    /// The name that was asked for.
    pub name: String,
}

/// The names of all rows, in the order of the table.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|row| row.name).collect()
}

const fn imagenet(name: &'static str, block: Block, blocks: &'static [usize]) -> Architecture {
    Architecture {
        name,
        stem: Stem::Conv7x7MaxPool,
        block,
        blocks,
        width: 64,
        groups: Groups { count: 1, width: 64 },
        shortcut: Projection,
        input: [224, 224],
        classes: 1000,
    }
}

const fn cifar(name: &'static str, blocks: &'static [usize]) -> Architecture {
    Architecture {
        name,
        stem: Stem::Conv3x3,
        block: Basic,
        blocks,
        width: 16,
        groups: Groups { count: 1, width: 16 },
        shortcut: ZeroPad,
        input: [32, 32],
        classes: 10,
    }
}

/// The same layers without shortcuts.
const fn plain(row: Architecture) -> Architecture {
    with(Shortcut::None, row)
}

const fn with(shortcut: Shortcut, row: Architecture) -> Architecture {
    Architecture { shortcut, ..row }
}

/// `ResNet-D`: the deep stem, and projections that skip no pixel.
const fn deep(row: Architecture) -> Architecture {
    Architecture { stem: Stem::Deep3x3MaxPool, shortcut: PooledProjection, ..row }
}

/// `count` groups of `width` channels in the first stage's 3×3 convolutions.
const fn grouped(count: usize, width: usize, row: Architecture) -> Architecture {
    Architecture { groups: Groups { count, width }, ..row }
}
