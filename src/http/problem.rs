//! RFC 9457 problem documents, and the one map from errors to statuses.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::fetch::FetchError;
use crate::pipeline::ClassifyError;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::queue::Rejected;
use crate::pipeline::rollup::NoTaxonomy;
use crate::pipeline::sets::NoPromise;

/// One kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each has its words in `Kind::row`")]
pub enum Kind {
    NotAnImage,
    TruncatedImage,
    CorruptImage,
    BadRequest,
    UrlNotAllowed,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    TooManyBytes,
    TooManyPixels,
    UnsupportedFormat,
    InvalidParameter,
    NotOffered,
    UrlFailed,
    UrlTimeout,
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
        Self::UrlNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::TooManyBytes,
        Self::TooManyPixels,
        Self::UnsupportedFormat,
        Self::InvalidParameter,
        Self::NotOffered,
        Self::UrlFailed,
        Self::UrlTimeout,
        Self::QueueFull,
        Self::MemoryLimit,
        Self::Deadline,
        Self::Draining,
        Self::NotReady,
        Self::InferenceFailed,
        Self::Internal,
    ];

    /// Its status; its slug, the word for programs; its title, the words for people.
    #[must_use]
    #[rustfmt::skip] // columns stay columns
    pub fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotAnImage        => (StatusCode::BAD_REQUEST, "not-an-image", "The upload is not an image"),
            Self::TruncatedImage    => (StatusCode::BAD_REQUEST, "truncated-image", "The image is cut off"),
            Self::CorruptImage      => (StatusCode::BAD_REQUEST, "corrupt-image", "The image is damaged"),
            Self::BadRequest        => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::UrlNotAllowed     => (StatusCode::FORBIDDEN, "url-not-allowed", "This URL is not fetched"),
            Self::NotFound          => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed  => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method"),
            Self::BodyTimeout       => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "The upload came too slowly"),
            Self::TooManyBytes      => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-bytes", "The upload is too large"),
            Self::TooManyPixels     => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-pixels", "The image has too many pixels"),
            Self::UnsupportedFormat => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-format", "This image format is not served"),
            Self::InvalidParameter  => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-parameter", "A parameter is wrong"),
            Self::NotOffered        => (StatusCode::UNPROCESSABLE_ENTITY, "not-offered", "This model cannot tell that"),
            Self::UrlFailed         => (StatusCode::FAILED_DEPENDENCY, "url-failed", "The URL could not be fetched"),
            Self::UrlTimeout        => (StatusCode::FAILED_DEPENDENCY, "url-timeout", "The URL came too slowly"),
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

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.row().1)
    }
}

impl PartialSchema for Kind {
    fn schema() -> RefOr<Schema> {
        let slugs = Self::ALL.iter().map(|kind| kind.row().1);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(slugs))
            .description(Some("The word for programs; also in the log and the metrics."))
            .into()
    }
}

impl ToSchema for Kind {}

/// A problem as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after_seconds: Option<u64>,
}

/// Its document: RFC 9457, with members of ours.
#[derive(serde::Serialize, ToSchema)]
struct Document<'a> {
    /// Names the kind; there is nothing to fetch under it.
    #[serde(rename = "type")]
    name: String,
    /// The kind's words for people.
    title: &'static str,
    /// The status again, for a problem in the place of one of several images.
    status: u16,
    /// What was wrong this time, and what would be right.
    detail: &'a str,
    /// `detail` again: clients of other servers look here.
    error: &'a str,
    reason: Kind,
    /// `Retry-After` again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_seconds: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (status, slug, title) = self.kind.row();
        let document = Document {
            name: format!("urn:resnetd:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            error: &self.detail,
            reason: self.kind,
            retry_after_seconds: self.retry_after_seconds,
        };
        document.serialize(serializer)
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Document::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Document::schemas(schemas);
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
        let (_, reason, _) = self.kind.row();
        response.extensions_mut().insert(Told { reason, detail: self.detail });
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

    /// Another model than the one that is served.
    #[must_use]
    pub fn no_such_model(typed: &str, served: &str) -> Self {
        let detail = format!("there is no model {typed:?} here; this server has {served:?}");
        Self::new(Kind::NotFound, detail)
    }

    /// Another version than the only one.
    #[must_use]
    pub fn no_such_version(typed: &str) -> Self {
        let detail = format!(
            "there is no version {typed:?}; a server has one model, its version is 1, and \
             X-Model-Digest tells which it is"
        );
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

    /// The same, of one image of several.
    #[must_use]
    pub fn of_image(self, number: usize) -> Self {
        Self { detail: format!("image {number}: {}", self.detail), ..self }
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

impl From<NoPromise> for Problem {
    fn from(error: NoPromise) -> Self {
        let kind = match &error {
            NoPromise::Uncalibrated { .. } => Kind::NotOffered,
            NoPromise::OutOfRange { .. } => Kind::InvalidParameter,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<NoTaxonomy> for Problem {
    fn from(error: NoTaxonomy) -> Self {
        Self::new(Kind::NotOffered, error.to_string())
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        Self::new(kind_of_fetch(&error), error.to_string())
    }
}

/// What fails elsewhere is a 424 and not a 502 or 504: those would let a client make balancers
/// think that this server is broken.
fn kind_of_fetch(error: &FetchError) -> Kind {
    match error {
        FetchError::NotAUrl { .. } => Kind::InvalidParameter,
        FetchError::Off
        | FetchError::Scheme { .. }
        | FetchError::UserInfo
        | FetchError::Host { .. }
        | FetchError::Port { .. }
        | FetchError::Address { .. } => Kind::UrlNotAllowed,
        FetchError::Unreachable { .. }
        | FetchError::Status { .. }
        | FetchError::Nowhere { .. }
        | FetchError::TooManyRedirects { .. }
        | FetchError::BrokenOff { .. } => Kind::UrlFailed,
        FetchError::TooManyBytes { .. } => Kind::TooManyBytes,
        FetchError::Slow { .. } => Kind::UrlTimeout,
        FetchError::Redirected { source, .. } => kind_of_fetch(source),
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

/// Left on the response for the log line.
#[derive(Debug, Clone)]
pub struct Told {
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
