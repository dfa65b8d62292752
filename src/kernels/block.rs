//! Constants of a convolution, packed for 16 output channels at a time.

use super::QLinearConv;

/// Output channels of a block: int32 values in a register of 512 bits.
pub(super) const CHANNELS: usize = 16;
/// Inputs that one instruction multiplies for each output.
pub(super) const TAPS: usize = 4;

/// The bytes of a register, aligned to a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Register(pub(super) [u8; CHANNELS * TAPS]);

/// The constants of 16 output channels.
#[derive(Debug)]
pub(super) struct ChannelBlock {
    /// Index of the first channel.
    pub(super) first: usize,
    /// For each group of four inputs, int8 `[16, 4]`.
    pub(super) weights: Vec<Register>,
    /// Sums for inputs of level 0, int32 `[16]`.
    pub(super) sums: Register,
    /// float32 `[16]`.
    pub(super) scales: Register,
}

/// The constants of up to 64 output channels of a pointwise convolution.
#[derive(Debug)]
pub(super) struct Panel {
    /// Index of the first channel.
    pub(super) first: usize,
    /// The first channel of the last register, relative to `first`. Its channels overlap those before if the number of channels
    /// is not a multiple of 16.
    pub(super) last: usize,
    /// For each group of four inputs and each register of 16 outputs, int8 `[16, 4]`.
    pub(super) weights: Vec<Register>,
    /// Sums for inputs of level 0, int32 `[16]` for each register.
    pub(super) sums: Vec<Register>,
    /// float32 `[16]` for each register.
    pub(super) scales: Vec<Register>,
}

impl Panel {
    /// The panels of a pointwise convolution with at least 16 outputs, and inputs in groups of four. They have almost the
    /// same number of registers.
    pub(super) fn all(convolution: &QLinearConv) -> Vec<Self> {
        let groups: Vec<[Option<usize>; TAPS]> = (0..convolution.geometry().inputs / TAPS)
            .map(|group| std::array::from_fn(|tap| Some(group * TAPS + tap)))
            .collect();
        let blocks = ChannelBlock::all(convolution, &groups);
        let panels = blocks.len().div_ceil(4);
        (0..panels)
            .map(|panel| {
                let [start, end] = [panel, panel + 1].map(|panel| panel * blocks.len() / panels);
                let blocks = &blocks[start..end];
                let first = blocks[0].first;
                Self {
                    first,
                    last: blocks[blocks.len() - 1].first - first,
                    weights: (0..groups.len())
                        .flat_map(|group| blocks.iter().map(move |block| block.weights[group]))
                        .collect(),
                    sums: blocks.iter().map(|block| block.sums).collect(),
                    scales: blocks.iter().map(|block| block.scales).collect(),
                }
            })
            .collect()
    }
}

impl ChannelBlock {
    /// The blocks of a convolution with at least 16 outputs. The last one overlaps the one before if their number is not a
    /// multiple of 16. `inputs` lists the four inputs of each group, as indices into an output's weights; `None` where there is no input.
    pub(super) fn all(convolution: &QLinearConv, inputs: &[[Option<usize>; TAPS]]) -> Vec<Self> {
        let outputs = convolution.geometry().outputs;
        let firsts = (0..outputs).step_by(CHANNELS);
        firsts
            .map(|first| first.min(outputs.saturating_sub(CHANNELS)))
            .map(|first| Self {
                first,
                weights: inputs
                    .iter()
                    .map(|group| {
                        Register::of(|channel| {
                            let weights = convolution.weights(first + channel);
                            group.map(|place| {
                                place.map_or(0, |place| weights[place]).cast_unsigned()
                            })
                        })
                    })
                    .collect(),
                sums: Register::of(|channel| {
                    convolution.sum_of_zeros(first + channel).to_le_bytes()
                }),
                scales: Register::of(|channel| {
                    convolution.constants().scales[first + channel].to_le_bytes()
                }),
            })
            .collect()
    }
}

impl Register {
    /// Every byte has this value.
    pub(super) const fn filled(level: u8) -> Self {
        Self([level; CHANNELS * TAPS])
    }

    /// Four bytes for each channel.
    fn of(bytes: impl Fn(usize) -> [u8; TAPS]) -> Self {
        let mut register = Self::filled(0);
        for (channel, four) in register.0.as_chunks_mut().0.iter_mut().enumerate() {
            *four = bytes(channel);
        }
        register
    }
}
