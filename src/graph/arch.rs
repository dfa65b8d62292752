//! The table of networks: one row each, holding only what the network is free to choose.
//!
//! Channels, strides, names and shapes follow from the row by the paper's rules; `network.rs`
//! applies them. The paper is He, Zhang, Ren and Sun 2015, "Deep residual learning for image
//! recognition" (arXiv:1512.03385).

use Block::{Basic, Bottleneck};
use Stride::{On1x1, On3x3};

/// Every network we build, with its parameters and multiply-adds.
///
/// The first three groups are the paper's Table 1, the last is its section 4.2.
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

    cifar("resnet20",   &[  3,   3,   3]), //  0.27 M   0.04 G
    cifar("resnet32",   &[  5,   5,   5]), //  0.46 M   0.07 G
    cifar("resnet44",   &[  7,   7,   7]), //  0.66 M   0.10 G
    cifar("resnet56",   &[  9,   9,   9]), //  0.85 M   0.13 G
    cifar("resnet110",  &[ 18,  18,  18]), //  1.7  M   0.25 G
    cifar("resnet1202", &[200, 200, 200]), // 19.4  M   2.8  G
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
    /// Channels of the stem and of the first stage's 3×3 convolutions.
    pub width: usize,
    /// How the input reaches the end of a block that changes its shape.
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

/// How the input reaches the end of a block that changes its shape (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Option B: a 1×1 convolution and its batch norm.
    Projection,
    /// Option A: every second row and column, with half of the new zero channels before the old
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
        shortcut: Shortcut::Projection,
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
        shortcut: Shortcut::ZeroPad,
        input: [32, 32],
        classes: 10,
    }
}
