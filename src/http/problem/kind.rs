//! The kinds of problems, one row each.

use axum::http::StatusCode;
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// One kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`Kind::row` has the title of each")]
pub enum Kind {
    NotAnImage,
    TruncatedImage,
    CorruptImage,
    BadRequest,
    Unauthenticated,
    NotAnAdmin,
    UrlNotAllowed,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    TooManyBytes,
    TooManyPixels,
    UnsupportedFormat,
    UnsupportedEncoding,
    HostNotAllowed,
    InvalidParameter,
    NotOffered,
    ChangeFailed,
    UrlFailed,
    UrlTimeout,
    TooManyRequests,
    ClientLimit,
    HeadersTooLarge,
    TooManyConnections,
    QueueFull,
    MemoryLimit,
    Deadline,
    Draining,
    NotReady,
    InferenceFailed,
    Internal,
}

impl Kind {
    /// All kinds; `docs/errors.md` describes them.
    pub const ALL: &[Self] = &[
        Self::NotAnImage,
        Self::TruncatedImage,
        Self::CorruptImage,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::NotAnAdmin,
        Self::UrlNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::TooManyBytes,
        Self::TooManyPixels,
        Self::UnsupportedFormat,
        Self::UnsupportedEncoding,
        Self::HostNotAllowed,
        Self::InvalidParameter,
        Self::NotOffered,
        Self::ChangeFailed,
        Self::UrlFailed,
        Self::UrlTimeout,
        Self::TooManyRequests,
        Self::ClientLimit,
        Self::HeadersTooLarge,
        Self::TooManyConnections,
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

    /// Whether it is a client error.
    #[must_use]
    pub fn is_of_client(self) -> bool {
        self.row().0.is_client_error()
    }

    /// The HTTP status, the slug (for programs) and the title (for people).
    #[must_use]
    #[rustfmt::skip] // columns stay columns
    pub fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotAnImage        => (StatusCode::BAD_REQUEST, "not-an-image", "The upload is not an image"),
            Self::TruncatedImage    => (StatusCode::BAD_REQUEST, "truncated-image", "The image is cut off"),
            Self::CorruptImage      => (StatusCode::BAD_REQUEST, "corrupt-image", "The image is damaged"),
            Self::BadRequest        => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::Unauthenticated   => (StatusCode::UNAUTHORIZED, "unauthenticated", "An API key is required"),
            Self::NotAnAdmin        => (StatusCode::FORBIDDEN, "not-an-admin", "This API key may not change models"),
            Self::UrlNotAllowed     => (StatusCode::FORBIDDEN, "url-not-allowed", "This URL is not allowed"),
            Self::NotFound          => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed  => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::BodyTimeout       => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "The upload was too slow"),
            Self::TooManyBytes      => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-bytes", "The upload is too large"),
            Self::TooManyPixels     => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-pixels", "The image has too many pixels"),
            Self::UnsupportedFormat => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-format", "This image format is not supported"),
            Self::UnsupportedEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "This content encoding is not supported"),
            Self::HostNotAllowed    => (StatusCode::MISDIRECTED_REQUEST, "host-not-allowed", "This host is not allowed"),
            Self::InvalidParameter  => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-parameter", "A parameter is invalid"),
            Self::NotOffered        => (StatusCode::UNPROCESSABLE_ENTITY, "not-offered", "This model does not support this"),
            Self::ChangeFailed      => (StatusCode::BAD_REQUEST, "change-failed", "The models could not be changed"),
            Self::UrlFailed         => (StatusCode::FAILED_DEPENDENCY, "url-failed", "The URL could not be fetched"),
            Self::UrlTimeout        => (StatusCode::FAILED_DEPENDENCY, "url-timeout", "The URL was too slow"),
            Self::TooManyRequests   => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Self::ClientLimit       => (StatusCode::TOO_MANY_REQUESTS, "client-limit", "This client has too many images in flight"),
            Self::HeadersTooLarge   => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "The headers are too large"),
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", "Too many connections"),
            Self::QueueFull         => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full"),
            Self::MemoryLimit       => (StatusCode::SERVICE_UNAVAILABLE, "memory-limit", "The memory limit is reached"),
            Self::Deadline          => (StatusCode::SERVICE_UNAVAILABLE, "deadline", "The time limit cannot be met"),
            Self::Draining          => (StatusCode::SERVICE_UNAVAILABLE, "draining", "The server is shutting down"),
            Self::NotReady          => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The server or the model is not ready"),
            Self::InferenceFailed   => (StatusCode::INTERNAL_SERVER_ERROR, "inference-failed", "Inference failed"),
            Self::Internal          => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error"),
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
            .description(Some(
                "The kind of problem, for programs; log lines and metrics use the same value.",
            ))
            .into()
    }
}

impl ToSchema for Kind {}
