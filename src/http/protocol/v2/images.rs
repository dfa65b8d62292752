//! Converts tensors to images.

use std::sync::Arc;

use bytes::Bytes;

use super::denormalize::{self, ChannelOrder};
use super::signature::NamedInput;
use super::tensor::{self, InferTensor, TensorData};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::reserved_bytes::with_reservation;
use crate::pipeline::InputImage;

/// The images of a request, which must be in one tensor.
pub(super) fn of(app: &App, mut tensors: Vec<InferTensor>) -> Result<Vec<InputImage>, Problem> {
    let one_of = || NamedInput::ALL.map(NamedInput::name).join(", ");
    let tensor = match (tensors.pop(), tensors.pop()) {
        (Some(tensor), None) => tensor,
        (None, _) => {
            let detail = format!("the request has no inputs; send one of {}", one_of());
            return Err(Problem::invalid_parameter(detail));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_parameter(format!(
                "the request has several inputs; they are different ways to send the same images, \
                 so send one of {}",
                one_of()
            )));
        }
    };
    let Some(input) = NamedInput::ALL.into_iter().find(|input| input.name() == tensor.name) else {
        return Err(Problem::invalid_parameter(format!(
            "there is no input {:?}; there are {}",
            tensor.name,
            one_of()
        )));
    };
    if tensor.datatype != input.datatype() {
        return Err(Problem::invalid_parameter(format!(
            "input {:?} has the datatype {}; it takes {}",
            tensor.name,
            tensor.datatype.name(),
            input.datatype().name()
        )));
    }
    match input {
        NamedInput::Pixels => ready(app, tensor),
        NamedInput::Floats => normalised(app, tensor),
        NamedInput::Image => files(tensor),
    }
}

fn ready(app: &App, tensor: InferTensor) -> Result<Vec<InputImage>, Problem> {
    let [height, width] = app.model.pipeline.card().preprocess.input.map(i64::from);
    let images = images(&tensor, &[&[height, width, 3]])?.0;
    let raw = whole(tensor, images, height * width * 3)?;
    Ok(split(&raw, images))
}

fn normalised(app: &App, tensor: InferTensor) -> Result<Vec<InputImage>, Problem> {
    let preprocess = &app.model.pipeline.card().preprocess;
    let [height, width] = preprocess.input.map(i64::from);
    let layouts = [[3, height, width], [height, width, 3]];
    let (images, layout) = images(&tensor, &[&layouts[0], &layouts[1]])?;
    let layout = if layout == 0 { ChannelOrder::ChannelsFirst } else { ChannelOrder::ChannelsLast };
    let raw = whole(tensor, images, height * width * 3 * 4)?;
    let held = app.model.pipeline.reserve(raw.len() / 4)?;
    let pixels = denormalize::pixels(&raw, layout, preprocess)?;
    Ok(split(&with_reservation(pixels.into(), &Arc::new(held)), images))
}

fn files(tensor: InferTensor) -> Result<Vec<InputImage>, Problem> {
    // Clients of servers with a separate batch dimension send `[N, 1]`.
    let images = images(&tensor, &[&[], &[1]])?.0;
    let files = match tensor.data {
        TensorData::Elements(files) => files,
        TensorData::Raw(raw) => tensor::elements(raw, &tensor.name)?,
    };
    if files.len() != images {
        return Err(Problem::invalid_parameter(format!(
            "input {:?} has the shape {:?} and {} elements; send as many elements as the shape says",
            tensor.name,
            tensor.shape,
            files.len()
        )));
    }
    Ok(files.into_iter().map(InputImage::Upload).collect())
}

/// The number of images of a tensor, and which of `dims` is their shape.
fn images(tensor: &InferTensor, dims: &[&[i64]]) -> Result<(usize, usize), Problem> {
    let found = tensor.shape.split_first().and_then(|(images, rest)| {
        let which = dims.iter().position(|dims| *dims == rest)?;
        let images = usize::try_from(*images).ok().filter(|images| *images > 0)?;
        Some((images, which))
    });
    match found {
        Some((images, _)) if images > tensor::MAX_BATCH => Err(tensor::too_many(&tensor.name)),
        Some(found) => Ok(found),
        None => {
            let taken: Vec<String> = dims
                .iter()
                .map(|dims| {
                    let sizes = dims.iter().map(|size| format!(", {size}"));
                    format!("[N{}]", sizes.collect::<String>())
                })
                .collect();
            Err(Problem::invalid_parameter(format!(
                "input {:?} has the shape {:?}; it takes {}, where N is 1 to {} images",
                tensor.name,
                tensor.shape,
                taken.join(" or "),
                tensor::MAX_BATCH
            )))
        }
    }
}

/// The data of `images` images with `each` bytes each.
fn whole(tensor: InferTensor, images: usize, each: i64) -> Result<Bytes, Problem> {
    let expected = usize::try_from(each).unwrap_or(usize::MAX).saturating_mul(images);
    let found = match tensor.data {
        TensorData::Raw(raw) if raw.len() == expected => return Ok(raw),
        TensorData::Raw(raw) => raw.len(),
        TensorData::Elements(elements) => elements.iter().map(Bytes::len).sum(),
    };
    Err(Problem::invalid_parameter(format!(
        "input {:?} of {} with the shape {:?} is {expected} bytes, and {found} were sent",
        tensor.name,
        tensor.datatype.name(),
        tensor.shape
    )))
}

fn split(pixels: &Bytes, images: usize) -> Vec<InputImage> {
    let each = pixels.len() / images;
    (0..images)
        .map(|image| InputImage::Pixels(pixels.slice(image * each..(image + 1) * each)))
        .collect()
}
