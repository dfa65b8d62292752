//! Classifies errors of loading a model, for metrics.

use std::error::Error;
use std::io;

use crate::hub::HubError;
use crate::model::ModelError;
use crate::model::foreign::ScoreKindMismatch;
use crate::pipeline::golden::GoldenError;
use crate::pipeline::run::{RunError, SessionError, StartError};
use crate::telemetry::LoadFailure;
use crate::weights::WeightsError;

/// A check of a model that failed in this layer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct CheckFailed {
    failure: LoadFailure,
    message: String,
}

impl CheckFailed {
    pub(super) fn new(failure: LoadFailure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }
}

/// The class of an error of loading a model: that of the first cause that has one.
pub(super) fn failure_of(error: &anyhow::Error) -> LoadFailure {
    error.chain().find_map(of_cause).unwrap_or(LoadFailure::Internal)
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<LoadFailure> {
    let of_check = |CheckFailed { failure, .. }: &CheckFailed| *failure;
    cause
        .downcast_ref()
        .map(of_check)
        .or_else(|| cause.downcast_ref().map(of_model))
        .or_else(|| cause.downcast_ref().map(of_hub))
        .or_else(|| cause.downcast_ref().map(of_start))
        .or_else(|| cause.downcast_ref().map(of_session))
        .or_else(|| cause.downcast_ref().map(of_golden))
        .or_else(|| cause.downcast_ref().map(|_: &RunError| LoadFailure::Runtime))
        .or_else(|| cause.downcast_ref().map(|_: &ScoreKindMismatch| LoadFailure::Card))
        .or_else(|| cause.downcast_ref().map(|_: &io::Error| LoadFailure::Unreadable))
}

fn of_model(error: &ModelError) -> LoadFailure {
    match error {
        ModelError::Unknown { .. } | ModelError::Read { .. } | ModelError::NoWeights { .. } => {
            LoadFailure::Unreadable
        }
        ModelError::NotOnnx { .. } | ModelError::ExternalData { .. } => LoadFailure::Damaged,
        ModelError::Checksum { .. } => LoadFailure::Digest,
        ModelError::NoCard { .. }
        | ModelError::UnsupportedGraph { .. }
        | ModelError::Config(_)
        | ModelError::OtherArchitecture { .. }
        | ModelError::OtherClasses { .. }
        | ModelError::WeightsOfOther { .. }
        | ModelError::Card { .. }
        | ModelError::TooSmall { .. } => LoadFailure::Card,
        ModelError::NewerOnnx { .. }
        | ModelError::NotInferred { .. }
        | ModelError::Foreign { .. }
        | ModelError::Precision { .. }
        | ModelError::TooLarge { .. }
        | ModelError::Architecture(_) => LoadFailure::Unsupported,
        ModelError::Weights { source, .. } => match source {
            WeightsError::Read { .. } => LoadFailure::Unreadable,
            WeightsError::CutOff { .. }
            | WeightsError::Format { .. }
            | WeightsError::InvalidFile { .. }
            | WeightsError::Pytorch { .. }
            | WeightsError::Index { .. } => LoadFailure::Damaged,
            WeightsError::Other { kind, .. } if kind.is_incomplete() => LoadFailure::Damaged,
            WeightsError::Other { .. }
            | WeightsError::Objects { .. }
            | WeightsError::OneTensor { .. } => LoadFailure::Unsupported,
            WeightsError::Misfit { .. } => LoadFailure::Card,
        },
    }
}

fn of_hub(error: &HubError) -> LoadFailure {
    match error {
        HubError::Refused { .. }
        | HubError::NotFound { .. }
        | HubError::NoModel { .. }
        | HubError::Unreachable { .. }
        | HubError::Offline { .. }
        | HubError::CacheRead { .. }
        | HubError::Cache { .. } => LoadFailure::Unreadable,
        HubError::Damaged { .. } => LoadFailure::Digest,
        HubError::Incomplete { .. } => LoadFailure::Damaged,
    }
}

fn of_start(error: &StartError) -> LoadFailure {
    match error {
        StartError::Session(error) => of_session(error),
        StartError::Run(_) => LoadFailure::Runtime,
    }
}

fn of_session(error: &SessionError) -> LoadFailure {
    match error {
        SessionError::Device { .. } | SessionError::ModelOnDevice { .. } => LoadFailure::Device,
        SessionError::Model { .. } => LoadFailure::Runtime,
    }
}

fn of_golden(error: &GoldenError) -> LoadFailure {
    match error {
        GoldenError::Photo { .. } | GoldenError::Missed { .. } => LoadFailure::Golden,
        GoldenError::Run { .. } => LoadFailure::Runtime,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::weights::UnsupportedFile;

    #[test]
    fn files_that_are_incomplete_are_damaged_and_those_of_other_formats_unsupported() {
        let failure = |kind: UnsupportedFile| {
            let source = WeightsError::Other { path: "flowers.pth".into(), kind };
            of_model(&ModelError::Weights { of: "flowers".to_owned(), source })
        };
        assert_eq!(failure(UnsupportedFile::HalfZip), LoadFailure::Damaged);
        assert_eq!(failure(UnsupportedFile::GitLfsPointer), LoadFailure::Damaged);
        assert_eq!(failure(UnsupportedFile::Keras), LoadFailure::Unsupported);
    }

    #[test]
    fn the_first_cause_with_a_class_decides() {
        let read = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ModelError::Read { path: "model.onnx".into(), source: read };
        let error = Err::<(), _>(error).context("pets cannot be served").unwrap_err();
        assert_eq!(failure_of(&error), LoadFailure::Unreadable);
        let checked = CheckFailed::new(LoadFailure::Digest, "another digest");
        assert_eq!(checked.to_string(), "another digest");
        assert_eq!(failure_of(&checked.into()), LoadFailure::Digest);
        let reason = "unknown operator".to_owned();
        let error = StartError::Session(SessionError::Model { reason });
        assert_eq!(failure_of(&error.into()), LoadFailure::Runtime);
        assert_eq!(failure_of(&anyhow!("no cause")), LoadFailure::Internal);
    }
}
