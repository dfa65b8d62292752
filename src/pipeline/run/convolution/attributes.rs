//! The attributes of a convolution.

use crate::kernels::{Edges, Extent, Geometry, Grouping};
use crate::onnx::proto::NodeProto;

/// The attributes of a convolution. Those that are missing have ONNX's defaults.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    group: Option<i64>,
    channels_last: Option<i64>,
    strides: Option<Vec<i64>>,
    pads: Option<Vec<i64>>,
    dilations: Option<Vec<i64>>,
    auto_pad: Option<String>,
}

impl Attributes {
    pub(super) fn of(node: &NodeProto) -> Self {
        let mut attributes = Self::default();
        for attribute in &node.attribute {
            let ints = || Some(attribute.ints.clone());
            match attribute.name() {
                "group" => attributes.group = attribute.i,
                "channels_last" => attributes.channels_last = attribute.i,
                "strides" => attributes.strides = ints(),
                "pads" => attributes.pads = ints(),
                "dilations" => attributes.dilations = ints(),
                "auto_pad" => {
                    let text = attribute.s.as_deref().unwrap_or_default();
                    attributes.auto_pad = Some(String::from_utf8_lossy(text).into_owned());
                }
                _ => {}
            }
        }
        attributes
    }

    /// The shape of a convolution with weights `[outputs, inputs of an output, rows, columns]`; `None` if the kernels
    /// cannot compute it.
    pub(super) fn geometry(&self, weights: &[i64]) -> Option<Geometry> {
        let size = |side: &i64| usize::try_from(*side).ok();
        let sizes = |sides: &Option<Vec<i64>>, default: &[usize]| match sides {
            Some(sides) => sides.iter().map(size).collect(),
            None => Some(default.to_vec()),
        };
        let &[outputs, depth, rows, columns] =
            &*weights.iter().map(size).collect::<Option<Vec<_>>>()?
        else {
            return None;
        };
        let [strides, dilations] =
            [sizes(&self.strides, &[1; 2])?, sizes(&self.dilations, &[1; 2])?];
        let (&[down, across], &[top, left, bottom, right]) =
            (&*strides, &*sizes(&self.pads, &[0; 4])?)
        else {
            return None;
        };
        let groups = match size(&self.group.unwrap_or(1))? {
            1 => Grouping::One,
            group if group == outputs && depth == 1 => Grouping::PerChannel,
            _ => return None,
        };
        let padding_is_given = matches!(self.auto_pad.as_deref(), None | Some("" | "NOTSET"));
        let is_usual = dilations == [1, 1] && padding_is_given && self.channels_last == Some(1);
        is_usual.then_some(Geometry {
            inputs: if groups == Grouping::PerChannel { outputs } else { depth },
            outputs,
            groups,
            window: Extent { rows, columns },
            strides: Extent { rows: down, columns: across },
            padding: Edges { top, left, bottom, right },
        })
    }
}
