//! RFC 9457 problem documents, and the one map from errors to statuses.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::pipeline::ClassifyError;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::queue::Rejected;

/// One kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each has its words in `Kind::row`")]
pub enum Kind {
    NotAnImage,
    TruncatedImage,
    CorruptImage,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    TooManyBytes,
    TooManyPixels,
    UnsupportedFormat,
    InvalidParameter,
    NotOffered,
    QueueFull,
    MemoryLimit,
    Deadline,
    Draining,
    NotReady,
    InferenceFailed,
    Internal,
}

impl Kind {
    /// Every kind; `docs/errors.md` explains each.
    pub const ALL: &[Self] = &[
        Self::NotAnImage,
        Self::TruncatedImage,
        Self::CorruptImage,
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::TooManyBytes,
        Self::TooManyPixels,
        Self::UnsupportedFormat,
        Self::InvalidParameter,
        Self::NotOffered,
        Self::QueueFull,
        Self::MemoryLimit,
        Self::Deadline,
        Self::Draining,
        Self::NotReady,
        Self::InferenceFailed,
        Self::Internal,
    ];

    /// The kind whose slug is `reason`.
    #[must_use]
    pub fn named(reason: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.row().1 == reason)
    }

    /// Its status; its slug, the word for programs; its title, the words for people.
    #[must_use]
    #[rustfmt::skip] // columns stay columns
    pub fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotAnImage        => (StatusCode::BAD_REQUEST, "not-an-image", "The upload is not an image"),
            Self::TruncatedImage    => (StatusCode::BAD_REQUEST, "truncated-image", "The image is cut off"),
            Self::CorruptImage      => (StatusCode::BAD_REQUEST, "corrupt-image", "The image is damaged"),
            Self::BadRequest        => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::NotFound          => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed  => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method"),
            Self::BodyTimeout       => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "The upload came too slowly"),
            Self::TooManyBytes      => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-bytes", "The upload is too large"),
            Self::TooManyPixels     => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-pixels", "The image has too many pixels"),
            Self::UnsupportedFormat => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-format", "This image format is not served"),
            Self::InvalidParameter  => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-parameter", "A parameter is wrong"),
            Self::NotOffered        => (StatusCode::UNPROCESSABLE_ENTITY, "not-offered", "This model cannot tell that"),
            Self::QueueFull         => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full"),
            Self::MemoryLimit       => (StatusCode::SERVICE_UNAVAILABLE, "memory-limit", "The memory limit is reached"),
            Self::Deadline          => (StatusCode::SERVICE_UNAVAILABLE, "deadline", "The time limit cannot be met"),
            Self::Draining          => (StatusCode::SERVICE_UNAVAILABLE, "draining", "The server is shutting down"),
            Self::NotReady          => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The server is not ready"),
            Self::InferenceFailed   => (StatusCode::INTERNAL_SERVER_ERROR, "inference-failed", "The network failed"),
            Self::Internal          => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed"),
        }
    }
}

/// A problem as it is answered. It also has an `error` member, which clients of other servers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after_seconds: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (status, reason, title) = self.kind.row();
        let members = 6 + usize::from(self.retry_after_seconds.is_some());
        let mut document = serializer.serialize_struct("Problem", members)?;
        document.serialize_field("type", &format_args!("urn:resnetd:problem:{reason}"))?;
        document.serialize_field("title", title)?;
        document.serialize_field("status", &status.as_u16())?;
        document.serialize_field("detail", &self.detail)?;
        document.serialize_field("error", &self.detail)?;
        document.serialize_field("reason", reason)?;
        if let Some(seconds) = self.retry_after_seconds {
            document.serialize_field("retry_after_seconds", &seconds)?;
        }
        document.end()
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_seconds: None }
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_seconds = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self
    }

    /// Puts on `response` what belongs to it beside the document: when to come back, and the
    /// words for the log line.
    pub fn mark(self, response: &mut Response) {
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let (status, reason, _) = self.kind.row();
        response.extensions_mut().insert(Told { status, reason, detail: self.detail });
    }

    /// The same problem, of image `index` (from 0) of `count`, where it has to be said which.
    #[must_use]
    pub fn of_image(mut self, index: usize, count: usize) -> Self {
        if count > 1 {
            self.detail = format!("image {} of {count}: {}", index + 1, self.detail);
        }
        self
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was wrong and what would be right.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When to come back, where that helps.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.row().0
    }

    /// No route has this path.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; POST an image to /classify");
        Self::new(Kind::NotFound, detail)
    }

    /// A problem that has been told already, in these words.
    #[must_use]
    pub fn told(kind: Kind, detail: &str) -> Self {
        Self::new(kind, detail)
    }

    /// No model of this name or version is served; `served` is.
    #[must_use]
    pub fn no_such_model(asked: &str, served: &str) -> Self {
        let detail = format!("there is no {asked} here; this server has {served}");
        Self::new(Kind::NotFound, detail)
    }

    /// The route does not take this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let detail = format!("{path} does not take {method}; the Allow header names what it takes");
        Self::new(Kind::MethodNotAllowed, detail)
    }

    /// The request is not HTTP as it should be.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// A parameter, header or form field is wrong.
    #[must_use]
    pub fn invalid_parameter(detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameter, detail)
    }

    /// The body did not come within `limit`.
    #[must_use]
    pub fn body_timeout(limit: Duration) -> Self {
        let detail = format!("the upload was not complete within {limit:.0?}; send it faster");
        Self::new(Kind::BodyTimeout, detail)
    }

    /// The body is larger than `limit`.
    #[must_use]
    pub fn too_many_bytes(limit: usize) -> Self {
        let detail = format!(
            "the upload has more than {limit} bytes; send a smaller one or raise --max-bytes"
        );
        Self::new(Kind::TooManyBytes, detail)
    }

    /// Not ready for traffic, and why.
    #[must_use]
    pub fn not_ready(why: &str) -> Self {
        Self::new(Kind::NotReady, why).retry_after(Duration::from_secs(1))
    }

    /// A handler panicked.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "the server failed on this request; its log says more")
    }
}

impl From<ClassifyError> for Problem {
    /// Causes that are ours are logged, not told.
    fn from(error: ClassifyError) -> Self {
        let detail = error.to_string();
        match error {
            ClassifyError::Decode(error) => Self::new(kind_of_decode(&error), detail),
            ClassifyError::Rejected(rejected) => Self::from(rejected),
            ClassifyError::NotOffered(_) => Self::new(Kind::NotOffered, detail),
            ClassifyError::Deadline { retry_after, .. } => {
                Self::new(Kind::Deadline, detail).retry_after(retry_after)
            }
            ClassifyError::Prepare(_) => {
                tracing::error!(error = detail, "preparing an image failed");
                Self::internal()
            }
            ClassifyError::Run(_) => {
                Self::new(Kind::InferenceFailed, "the network failed on this batch; try again")
            }
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let kind = match &rejected {
            Rejected::QueueFull { .. } => Kind::QueueFull,
            Rejected::Memory { .. } => Kind::MemoryLimit,
            Rejected::TooLate { .. } => Kind::Deadline,
            Rejected::Draining => Kind::Draining,
        };
        Self::new(kind, rejected.to_string()).retry_after(rejected.retry_after())
    }
}

fn kind_of_decode(error: &DecodeError) -> Kind {
    match error {
        DecodeError::NotAnImage { .. } => Kind::NotAnImage,
        DecodeError::Unsupported { .. } => Kind::UnsupportedFormat,
        DecodeError::Truncated { .. } => Kind::TruncatedImage,
        DecodeError::Corrupt { .. } => Kind::CorruptImage,
        DecodeError::TooManyPixels { .. } => Kind::TooManyPixels,
        DecodeError::TooManyBytes { .. } => Kind::TooManyBytes,
    }
}

/// Left on the response for the log line and the metrics.
#[derive(Debug, Clone)]
pub struct Told {
    /// The problem's status; over gRPC the response has another.
    pub status: StatusCode,
    /// The problem's slug.
    pub reason: &'static str,
    /// What was said.
    pub detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(&self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        self.mark(&mut response);
        response
    }
}
