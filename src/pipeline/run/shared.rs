//! One copy of the weights for all sessions of a model on the CPU.
//!
//! ONNX Runtime rearranges weights for its kernels when it optimises a graph, so sessions that each optimise
//! hold a copy each. Here ONNX Runtime optimises the graph once and writes the result, whose weights all
//! sessions borrow.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ndarray::{Array1, IxDyn, ShapeError, s};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, Tensor};

use super::SessionPlan;
use super::convolution::ReplacedGraph;
use super::error::ort_message;
use super::session::{Session, SessionError, builder};
use super::{Library, convolution};
use crate::kernels::Geometry;
use crate::onnx;
use crate::pipeline::Output;

/// A graph optimised for this machine, with its weights.
pub(super) struct SharedModel {
    optimized: Bytes,
    /// The same with this program's convolutions, where it has faster ones.
    pub(super) replaced: Option<ReplacedGraph>,
    weights: Vec<(String, Arc<DynValue>)>,
}

impl SharedModel {
    /// Optimises the ONNX model in `bytes`, with this program's kernels for the convolutions that `is_faster_here` accepts.
    ///
    /// # Errors
    ///
    /// [`SessionError::Model`] if ONNX Runtime cannot load it, or there is no space for a temporary file of
    /// the model's size.
    pub(super) fn optimize(
        library: &Library,
        bytes: &[u8],
        is_faster_here: impl Fn(&Geometry) -> bool,
    ) -> Result<Self, SessionError> {
        let failed = |reason: String| SessionError::Model { reason };
        let folder = scratch_folder().map_err(|error| failed(error.to_string()))?;
        let path = folder.path().join("optimized.onnx");
        write_optimized(library, bytes, &path)?;
        let optimized = fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let optimized = Bytes::from(optimized);
        let model = onnx::OnnxModel::from_bytes(optimized.clone())
            .map_err(|error| failed(error.to_string()))?;
        let replaced = convolution::replace(&model, is_faster_here);
        let weights = model
            .float_weights()
            .map(|constant| Ok((constant.name().to_owned(), Arc::new(value(constant)?))))
            .collect::<Result<_, _>>()
            .map_err(|error: ort::Error| failed(ort_message(&error)))?;
        Ok(Self { optimized, replaced, weights })
    }

    /// Opens a session with the shared weights.
    ///
    /// # Errors
    ///
    /// [`SessionError::Model`] if ONNX Runtime rejects them.
    pub(super) fn open(
        &self,
        library: &Library,
        threads: usize,
        wanted: &[Output],
    ) -> Result<Session, SessionError> {
        let plan = SessionPlan::on_cpu(threads);
        if let Some(replaced) = &self.replaced {
            match self.open_replaced(library, replaced, plan, wanted) {
                Ok(session) => {
                    tracing::debug!(
                        convolutions = replaced.convolutions(),
                        "convolutions run in this program's kernels"
                    );
                    return Ok(session);
                }
                Err(error) => tracing::info!(
                    error = error.to_string(),
                    "convolutions run in ONNX Runtime's kernels, which are slower"
                ),
            }
        }
        Session::commit(self.builder(library, plan)?, &self.optimized, plan, wanted)
    }

    /// A session with this program's convolutions.
    pub(super) fn open_replaced(
        &self,
        library: &Library,
        replaced: &ReplacedGraph,
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Session, SessionError> {
        let failed = |error: ort::Error| SessionError::Model { reason: ort_message(&error) };
        let domain =
            convolution::domain(Arc::clone(&replaced.chains), plan.threads).map_err(failed)?;
        let builder = self.builder(library, plan)?;
        let builder = builder.with_operators(domain).map_err(|error| failed(error.into()))?;
        Session::commit(builder, &replaced.bytes, plan, wanted)
    }

    /// A builder with the common weights.
    fn builder(
        &self,
        library: &Library,
        plan: SessionPlan,
    ) -> Result<SessionBuilder, SessionError> {
        let failed = |reason| SessionError::Model { reason };
        let mut builder = builder(library, plan)?
            .with_optimization_level(GraphOptimizationLevel::Disable)
            .map_err(|error| failed(ort_message(&error.into())))?;
        for (name, value) in &self.weights {
            builder = builder
                .with_initializer(name, Arc::clone(value))
                .map_err(|error| failed(ort_message(&error.into())))?;
        }
        Ok(builder)
    }
}

fn write_optimized(library: &Library, bytes: &[u8], path: &Path) -> Result<(), SessionError> {
    let plan = SessionPlan::on_cpu(1);
    let failed = |error: ort::Error| SessionError::Model { reason: ort_message(&error) };
    let builder = builder(library, plan)?
        .with_optimized_model_path(path)
        .map_err(|error| failed(error.into()))?;
    // ONNX Runtime warns that the result is only for this machine, which is intended.
    let mut quiet =
        builder.with_log_level(LogLevel::Error).map_err(|error| failed(error.into()))?;
    quiet.commit_from_memory(bytes).map_err(failed)?;
    Ok(())
}

/// A temporary folder, deleted when dropped: in the system's folder for temporary files, or in shared memory,
/// which containers with a read-only file system have.
fn scratch_folder() -> std::io::Result<tempfile::TempDir> {
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let make = |place: &PathBuf| tempfile::Builder::new().prefix("resnetd-").tempdir_in(place);
    let [first, second] = &places;
    make(first).or_else(|error| make(second).map_err(|_| error))
}

/// Size of a cache line, and of the widest registers, in bytes.
const LINE: usize = 64;

/// A float32 constant, which sessions borrow. Sessions borrow only memory that this program has allocated. It is
/// aligned to a cache line, like the memory that ONNX Runtime allocates; a `Vec` is aligned to its elements only.
fn value(constant: &onnx::proto::TensorProto) -> Result<DynValue, ort::Error> {
    let shape: Vec<usize> =
        constant.dims.iter().map(|&side| side.try_into().unwrap_or(0)).collect();
    let count: usize = shape.iter().product();
    let mut floats: Vec<f32> = Vec::with_capacity(count + LINE / size_of::<f32>());
    let ahead = floats.as_ptr().align_offset(LINE).min(floats.capacity() - count);
    floats.resize(ahead, 0.0);
    floats.extend(constant.floats());
    let aligned = Array1::from_vec(floats).slice_move(s![ahead..]);
    let shaped = aligned
        .into_shape_with_order(IxDyn(&shape))
        .map_err(|error: ShapeError| ort::Error::new(error.to_string()))?;
    Ok(Tensor::from_array(shaped)?.into_dyn())
}
