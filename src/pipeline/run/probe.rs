//! Runs a graph and fetches intermediate values, for commands that analyse networks.

use ort::session::Session as OrtSession;
use ort::value::TensorRef;

use super::batch::INPUT;
use super::error::ort_message;
use super::session::{SessionError, builder};
use super::{Batch, Library, RunError, SessionPlan};

/// A session that can return any output of its graph.
pub struct Probe {
    loaded: OrtSession,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

/// ONNX Runtime, with the settings for probe sessions.
#[derive(Debug, Clone, Copy)]
pub struct ProbeRuntime<'a> {
    /// The loaded library.
    pub library: &'a Library,
    /// Device and threads.
    pub plan: SessionPlan,
}

impl ProbeRuntime<'_> {
    /// Loads ONNX `bytes`.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if the device is not available or the model does not load.
    pub fn open(self, bytes: &[u8]) -> Result<Probe, SessionError> {
        let loaded = builder(self.library, self.plan)?
            .commit_from_memory(bytes)
            .map_err(|error| SessionError::Model { reason: ort_message(&error) })?;
        Ok(Probe { loaded })
    }
}

impl Probe {
    /// Runs uint8 `[N, H, W, 3]`, and calls `visit` with the name and the float32 elements of every output.
    ///
    /// # Errors
    ///
    /// [`RunError::Runtime`], also if an output is not float32.
    pub fn run(
        &mut self,
        batch: &Batch,
        mut visit: impl FnMut(&str, &[f32]),
    ) -> Result<(), RunError> {
        let failed = |error: ort::Error| RunError::Runtime(ort_message(&error));
        let input =
            TensorRef::from_array_view((batch.shape(), batch.as_bytes())).map_err(failed)?;
        let answers = self.loaded.run(ort::inputs![INPUT => input]).map_err(failed)?;
        for (name, value) in &answers {
            let (_, elements) = value.try_extract_tensor::<f32>().map_err(failed)?;
            visit(name, elements);
        }
        Ok(())
    }
}
