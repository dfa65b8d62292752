//! `preprocessor_config.json`: the preprocessing of an image processor of transformers.

use serde::Deserialize;

use super::Refusal;
use crate::model::{Interpolation, Preprocess, Resize};

/// The fields of image processors for classification, with the library's defaults.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file has them")]
pub(super) struct PreprocessorConfig {
    /// For example `ConvNextImageProcessor`; older files call it a feature extractor.
    #[serde(default, alias = "feature_extractor_type")]
    image_processor_type: String,
    #[serde(default = "default_true")]
    do_resize: bool,
    size: Size,
    #[serde(default)]
    crop_pct: Option<f64>,
    #[serde(default)]
    do_center_crop: bool,
    #[serde(default)]
    crop_size: Option<Size>,
    #[serde(default)]
    resample: Option<u32>,
    #[serde(default = "default_true")]
    do_rescale: bool,
    #[serde(default)]
    rescale_factor: Option<f64>,
    #[serde(default = "default_true")]
    do_normalize: bool,
    #[serde(default)]
    image_mean: Option<[f32; 3]>,
    #[serde(default)]
    image_std: Option<[f32; 3]>,
    /// Of `EfficientNet`: whether the standard deviation is applied twice.
    #[serde(default = "default_true")]
    include_top: bool,
    #[serde(default)]
    rescale_offset: bool,
    #[serde(default)]
    do_flip_channel_order: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Size {
    Square(u32),
    Exact { height: u32, width: u32 },
    ShortestEdge { shortest_edge: u32 },
}

fn default_true() -> bool {
    true
}

/// Converts the configuration to [`Preprocess`].
pub(super) fn preprocess(config: &PreprocessorConfig) -> Result<Preprocess, Refusal> {
    if !config.do_resize {
        return Err(
            "do_resize is false; it must be true, because images can have any size".to_owned()
        );
    }
    let factor = config.rescale_factor.unwrap_or(1.0 / 255.0);
    let do_rescale = config.do_rescale;
    if !do_rescale || (factor * 255.0 - 1.0).abs() > 1e-6 {
        return Err(format!(
            "do_rescale is {do_rescale} and rescale_factor is {factor}; pixels must be rescaled by 1/255"
        ));
    }
    if config.rescale_offset || config.do_flip_channel_order {
        return Err(
            "rescale_offset and do_flip_channel_order must be false; write a card.toml".to_owned()
        );
    }
    let is = |processor| config.image_processor_type.starts_with(processor);
    let is_convnext = is("ConvNext");
    if !is_convnext && config.crop_pct.is_some() {
        return Err(
            "crop_pct is supported for ConvNextImageProcessor only; write a card.toml".to_owned()
        );
    }
    let (input, resize, crop_ratio) =
        if is_convnext { convnext(config)? } else { resize_and_crop(config)? };
    let interpolation = match config.resample.unwrap_or(2) {
        0 => Interpolation::Nearest,
        1 => Interpolation::Lanczos,
        2 => Interpolation::Bilinear,
        3 => Interpolation::Bicubic,
        other => {
            return Err(format!(
                "resample is {other}; it must be 0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)"
            ));
        }
    };
    let (mean, std) = if config.do_normalize {
        let missing = |field| format!("do_normalize is true and {field} is missing");
        (
            config.image_mean.ok_or_else(|| missing("image_mean"))?,
            config.image_std.ok_or_else(|| missing("image_std"))?,
        )
    } else {
        ([0.0; 3], [1.0; 3])
    };
    let std = if is("EfficientNet") && config.include_top { std.map(|std| std * std) } else { std };
    Ok(Preprocess { input, resize, crop_ratio, interpolation, mean, std })
}

type Plan = ([u32; 2], Resize, f64);

/// Below 384 pixels the shorter side is resized to `size / crop_pct` and the centre is cropped; from 384 on
/// the whole image is resized without a crop, ignoring its aspect ratio.
fn convnext(config: &PreprocessorConfig) -> Result<Plan, Refusal> {
    let (Size::Square(side) | Size::ShortestEdge { shortest_edge: side }) = config.size else {
        return Err("size must be a number or a shortest_edge".to_owned());
    };
    Ok(if side < 384 {
        ([side, side], Resize::ShorterSide, config.crop_pct.unwrap_or(224.0 / 256.0))
    } else {
        ([side, side], Resize::Exact, 1.0)
    })
}

fn resize_and_crop(config: &PreprocessorConfig) -> Result<Plan, Refusal> {
    let crop = config.crop_size.filter(|_| config.do_center_crop).map(sides).transpose()?;
    match (config.size, crop) {
        (Size::ShortestEdge { shortest_edge }, Some(input)) => {
            // LeViT's processor resizes to 256/224 of this size.
            let is_levit = config.image_processor_type.starts_with("Levit");
            let shortest_edge = if is_levit { shortest_edge * 256 / 224 } else { shortest_edge };
            Ok((input, Resize::ShorterSide, ratio(input[0].min(input[1]), shortest_edge)))
        }
        (Size::ShortestEdge { .. }, None) => {
            Err("size is a shortest_edge without a centre crop; set do_center_crop to true"
                .to_owned())
        }
        (size, None) => Ok((sides(size)?, Resize::Exact, 1.0)),
        (size, Some(input)) => {
            let [height, width] = sides(size)?;
            if u64::from(height) * u64::from(input[1]) != u64::from(width) * u64::from(input[0]) {
                return Err("size and crop_size must have the same aspect ratio".to_owned());
            }
            Ok((input, Resize::Exact, ratio(input[0], height)))
        }
    }
}

fn sides(size: Size) -> Result<[u32; 2], Refusal> {
    match size {
        Size::Square(edge) => Ok([edge, edge]),
        Size::Exact { height, width } => Ok([height, width]),
        Size::ShortestEdge { .. } => Err("crop_size must have a height and a width".to_owned()),
    }
}

/// The crop ratio for which `kept / ratio`, rounded down, equals `resized`.
fn ratio(kept: u32, resized: u32) -> f64 {
    let ratio = f64::from(kept) / f64::from(resized);
    let back = (f64::from(kept) / ratio).floor();
    if back < f64::from(resized) { ratio.next_down() } else { ratio }
}
