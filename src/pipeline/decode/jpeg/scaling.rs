//! How blocks are decoded at 1/2, 1/4 or 1/8 of their size.
//!
//! Chroma that is stored at half the size of luma is decoded to the same size, with twice as many pixels per
//! block, so nothing is interpolated.

use super::super::Reduction;
use super::frame_header::FrameHeader;
use super::idct::{self, Inverse};
use super::tables::Quantization;

/// The largest scaled size at which all components have the same size; smaller ones are possible
/// too.
pub(super) fn largest_scaled_size(frame: &FrameHeader) -> Option<Reduction> {
    let blocks: Vec<_> = frame.layouts().iter().map(|layout| layout.in_mcu).collect();
    let fits = |reduction: &Reduction| {
        blocks.iter().all(|&own| {
            pixels(own, &blocks, *reduction).is_some_and(|pixels| idct::inverse(pixels).is_some())
        })
    };
    Reduction::SMALLER.into_iter().find(fits)
}

/// Height and width, in pixels, of a block of a component with `own` blocks in an MCU; `all` are those of all
/// components.
fn pixels(own: [usize; 2], all: &[[usize; 2]], reduction: Reduction) -> Option<[usize; 2]> {
    let side = 8 / reduction.divisor() as usize;
    let [down, across] = [0, 1].map(|way| {
        let most = all.iter().map(|blocks| blocks[way]).max().unwrap_or(1);
        most.is_multiple_of(own[way]).then_some(side * most / own[way])
    });
    Some([down?, across?])
}

/// The layout of MCUs and pixels.
#[derive(Debug)]
pub(super) struct ScalingPlan {
    /// Height and width of the reduced image.
    pub(super) size: [usize; 2],
    /// Number of MCUs in a row of MCUs.
    pub(super) mcus_in_row: usize,
    /// Height and width of a row of MCUs, in pixels.
    pub(super) band: [usize; 2],
    pub(super) components: Vec<ScaledComponent>,
}

/// How the blocks of a component are decoded.
#[derive(Debug)]
pub(super) struct ScaledComponent {
    /// Blocks in an MCU, vertically and horizontally.
    pub(super) in_mcu: [usize; 2],
    /// Height and width of a block, in pixels.
    pub(super) pixels: [usize; 2],
    pub(super) inverse: Inverse,
    /// Factor of each coefficient, in zigzag order.
    pub(super) factors: [f32; 64],
    /// Position of each coefficient, in zigzag order.
    pub(super) places: [u8; 64],
    /// Index of the last coefficient that is needed, in zigzag order.
    pub(super) last: usize,
}

impl ScalingPlan {
    /// A plan for a frame with these quantization tables of its components. `None` if one of them is missing, or if
    /// the components cannot be decoded to the same size.
    pub(super) fn new(
        frame: &FrameHeader,
        quantization: &[Quantization],
        reduction: Reduction,
    ) -> Option<Self> {
        let layouts = frame.layouts();
        let blocks: Vec<_> = layouts.iter().map(|layout| layout.in_mcu).collect();
        let components = (0..layouts.len()).map(|component| {
            let own = blocks[component];
            ScaledComponent::new(
                own,
                quantization.get(component)?,
                pixels(own, &blocks, reduction)?,
            )
        });
        let first = layouts.first()?;
        let mcus_in_row = first.stored[1] / first.in_mcu[1];
        let most = [0, 1].map(|way| blocks.iter().map(|blocks| blocks[way]).max().unwrap_or(1));
        let side = 8 / reduction.divisor() as usize;
        let [width, height] = frame.size.map(|side| reduction.side(side) as usize);
        Some(Self {
            size: [height, width],
            mcus_in_row,
            band: [side * most[0], side * most[1] * mcus_in_row],
            components: components.collect::<Option<_>>()?,
        })
    }
}

impl ScaledComponent {
    fn new(in_mcu: [usize; 2], quantization: &Quantization, pixels: [usize; 2]) -> Option<Self> {
        let mut scaled = Self {
            in_mcu,
            pixels,
            inverse: idct::inverse(pixels)?,
            factors: [0.0; 64],
            places: [64; 64],
            last: 0,
        };
        for (k, natural) in ZIGZAG.into_iter().enumerate() {
            let [down, across] = [natural / 8, natural % 8].map(usize::from);
            if down < pixels[0] && across < pixels[1] {
                let quantum = f32::from(quantization[k]);
                scaled.factors[k] = quantum * idct::weight(down) * idct::weight(across);
                scaled.places[k] = (natural % 8) * 8 + natural / 8;
                scaled.last = k;
            }
        }
        Some(scaled)
    }
}

/// Positions in a block, `8 · row + column`, in the order in which they are stored (T.81, figure 5).
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10,
    17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
];
