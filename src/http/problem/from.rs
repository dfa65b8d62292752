//! Conversion of errors to problems: the only mapping from errors to kinds.

use std::time::Duration;

use super::{Kind, Problem};
use crate::fetch::FetchError;
use crate::pipeline::ClassifyError;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::prediction_sets::CoverageUnavailable;
use crate::pipeline::queue::{JobError, Rejected};
use crate::pipeline::rollup::NoTaxonomy;
use crate::registry::{ControlError, NoModel};

/// `Retry-After` of a model that only an operator can make available.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(30);

impl From<ClassifyError> for Problem {
    /// Internal causes are written to the request's log line, not sent to the client.
    fn from(error: ClassifyError) -> Self {
        let detail = error.to_string();
        match error {
            ClassifyError::Decode(error) => {
                Self::new(kind_of_decode(&error), detail_of_decode(&error))
            }
            ClassifyError::Rejected(rejected) => Self::from(rejected),
            ClassifyError::NotOffered(_) => Self::new(Kind::NotOffered, detail),
            ClassifyError::Deadline { retry_after, .. } => {
                Self::new(Kind::Deadline, detail).retry_after(retry_after)
            }
            ClassifyError::Prepare(_) => Self::internal().because(detail),
            ClassifyError::Run(JobError::NotFinite) => {
                let detail =
                    "the network's scores for this image are not finite; send another image";
                Self::new(Kind::InferenceFailed, detail).because(error.to_string())
            }
            ClassifyError::Run(_) => {
                Self::new(Kind::InferenceFailed, "inference failed on this batch; retry")
                    .because(detail)
            }
        }
    }
}

impl From<NoModel> for Problem {
    fn from(error: NoModel) -> Self {
        let kind = match error {
            NoModel::NoDefault { .. }
            | NoModel::Unknown { .. }
            | NoModel::UnknownVersion { .. } => Kind::NotFound,
            NoModel::Loading { .. } | NoModel::OnDemand { .. } => {
                return Self::not_ready(&error.to_string());
            }
            NoModel::Unavailable { .. } => {
                return Self::not_ready(&error.to_string()).retry_after(UNAVAILABLE_RETRY);
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = error.to_string();
        match error {
            ControlError::Unknown { .. } => Self::new(Kind::NotFound, detail),
            ControlError::Failed { .. } => Self::change_failed(detail),
            ControlError::Sources(_) => Self::internal().because(detail),
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let kind = match &rejected {
            Rejected::QueueFull { .. } | Rejected::Displaced { .. } => Kind::QueueFull,
            Rejected::Memory { .. } => Kind::MemoryLimit,
            Rejected::TooLate { .. } | Rejected::LimitTooShort { .. } => Kind::Deadline,
            Rejected::ClientLimit { .. } => Kind::ClientLimit,
            Rejected::Draining => Kind::Draining,
        };
        // Twice the predicted time, because some of the limit passes before the prediction, and predictions are means.
        let minimum_timeout_ms = if let Rejected::LimitTooShort { alone, .. } = &rejected {
            u64::try_from(2 * alone.as_millis() + 1).ok()
        } else {
            None
        };
        let problem = Self::new(kind, rejected.to_string()).retry_after(rejected.retry_after());
        Self { minimum_timeout_ms, ..problem }
    }
}

impl From<CoverageUnavailable> for Problem {
    fn from(error: CoverageUnavailable) -> Self {
        let kind = match &error {
            CoverageUnavailable::Uncalibrated { .. } | CoverageUnavailable::MultiLabel { .. } => {
                Kind::NotOffered
            }
            CoverageUnavailable::OutOfRange { .. } => Kind::InvalidParameter,
        };
        // The error's own text says how to calibrate a model, which a client cannot.
        let detail = match &error {
            CoverageUnavailable::Uncalibrated { model, precision } => format!(
                "{model} has no calibration for {precision}, which prediction sets need; remove coverage"
            ),
            CoverageUnavailable::MultiLabel { .. } | CoverageUnavailable::OutOfRange { .. } => {
                error.to_string()
            }
        };
        Self::new(kind, detail)
    }
}

impl From<NoTaxonomy> for Problem {
    fn from(error: NoTaxonomy) -> Self {
        let detail = match &error {
            NoTaxonomy::Unknown { model } => {
                format!("the WordNet ids of the classes of {model} are unknown; remove rollup")
            }
            NoTaxonomy::MultiLabel { .. } => error.to_string(),
        };
        Self::new(Kind::NotOffered, detail)
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        Self::new(kind_of_fetch(&error), error.to_string())
    }
}

/// Failures of another host are 424, not 502 or 504: otherwise clients could make a load balancer
/// treat this server as broken.
fn kind_of_fetch(error: &FetchError) -> Kind {
    match error {
        FetchError::NotAUrl { .. } => Kind::InvalidParameter,
        FetchError::Disabled
        | FetchError::Scheme { .. }
        | FetchError::UserInfo
        | FetchError::Host { .. }
        | FetchError::Port { .. }
        | FetchError::Address { .. } => Kind::UrlNotAllowed,
        FetchError::Unreachable { .. }
        | FetchError::Status { .. }
        | FetchError::BadRedirect { .. }
        | FetchError::TooManyRedirects { .. }
        | FetchError::Interrupted { .. } => Kind::UrlFailed,
        FetchError::TooManyBytes { .. } => Kind::TooManyBytes,
        FetchError::Timeout { .. } => Kind::UrlTimeout,
        FetchError::Redirected { source, .. } => kind_of_fetch(source),
    }
}

fn kind_of_decode(error: &DecodeError) -> Kind {
    match error {
        DecodeError::NotAnImage { .. } => Kind::NotAnImage,
        DecodeError::Unsupported { .. } | DecodeError::Disabled { .. } => Kind::UnsupportedFormat,
        DecodeError::Truncated { .. } => Kind::TruncatedImage,
        DecodeError::Corrupt { .. } => Kind::CorruptImage,
        DecodeError::TooManyPixels { .. } => Kind::TooManyPixels,
        DecodeError::TooManyBytes { .. } => Kind::TooManyBytes,
        DecodeError::Stopped { .. } => Kind::Deadline,
    }
}

/// The message for clients. The error's own text names options, for users of the command line.
fn detail_of_decode(error: &DecodeError) -> String {
    match error {
        DecodeError::TooManyPixels { pixels, limit } => format!(
            "the image has {pixels} pixels, more than {limit}, the limit of this server; send a smaller one"
        ),
        DecodeError::TooManyBytes { bytes, limit } => format!(
            "the upload has {bytes} bytes, more than {limit}, the limit of this server; send a smaller one"
        ),
        DecodeError::NotAnImage { .. }
        | DecodeError::Unsupported { .. }
        | DecodeError::Disabled { .. }
        | DecodeError::Truncated { .. }
        | DecodeError::Corrupt { .. }
        | DecodeError::Stopped { .. } => error.to_string(),
    }
}
