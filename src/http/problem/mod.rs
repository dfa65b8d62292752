//! RFC 9457 problem documents, and the only mapping from errors to HTTP statuses.

mod excerpt; // limits quoted client text
mod kind; // status, slug and title
mod from; // the kind of each error
pub(super) mod grpc; // gRPC statuses
pub(super) mod traced; // adds the trace's id

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::header_limits::{MAX_FIELDS, MAX_HEADERS};
use crate::pipeline::queue::header_seconds;

pub use excerpt::excerpt;
pub use kind::Kind;

/// The value of `Accept-Encoding` in the error for an unsupported encoding.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip, deflate, zstd, br";

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after_seconds: Option<u64>,
    minimum_timeout_ms: Option<u64>,
    /// The cause, for the log only.
    cause: Option<String>,
    /// Id of the request's trace, if it is traced.
    trace_id: Option<String>,
}

/// A problem document (RFC 9457) with extension members.
#[derive(serde::Serialize, ToSchema)]
struct Document<'a> {
    /// Identifies the kind; not a URL that can be fetched.
    #[serde(rename = "type")]
    name: String,
    /// Describes the kind, for people.
    title: &'static str,
    /// The HTTP status; in a list of results, the status for this image.
    status: u16,
    /// What was wrong with this request, and what the client can do.
    detail: &'a str,
    /// Repeats `detail`, for clients written for other servers.
    error: &'a str,
    reason: Kind,
    /// Repeats the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_seconds: Option<u64>,
    /// A time limit that suffices for this image on an idle server, in milliseconds: twice its predicted time. Present only
    /// if the request's limit is shorter, so that a retry with the same limit is rejected again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    minimum_timeout_ms: Option<u64>,
    /// Id of the request's trace (W3C Trace Context), if the server traces requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<&'a str>,
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
            minimum_timeout_ms: self.minimum_timeout_ms,
            trace_id: self.trace_id.as_deref(),
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
    /// The only constructor, so that every detail is shortened.
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: excerpt::bounded(detail.into()),
            retry_after_seconds: None,
            minimum_timeout_ms: None,
            cause: None,
            trace_id: None,
        }
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_seconds = Some(header_seconds(wait));
        self
    }

    /// The same problem, with a cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(excerpt::bounded(cause.into()));
        self
    }

    /// The cause, for the log only.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Adds the problem's headers to `response`, and the facts for the log line.
    pub fn mark(self, response: &mut Response) {
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::UnsupportedEncoding {
            let accepted = HeaderValue::from_static(ACCEPTED_ENCODINGS);
            response.headers_mut().insert(header::ACCEPT_ENCODING, accepted);
        }
        if self.kind == Kind::Unauthenticated {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        let (status, reason, _) = self.kind.row();
        response.extensions_mut().insert(ProblemFacts {
            status,
            reason,
            detail: self.detail,
            cause: self.cause,
        });
    }

    /// The same problem, with the number of the image (`index` from 0, of `count`) in its detail if
    /// there are several.
    #[must_use]
    pub fn of_image(mut self, index: usize, count: usize) -> Self {
        if count > 1 {
            self.detail = format!("image {} of {count}: {}", index + 1, self.detail);
        }
        self
    }

    /// The kind of problem.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was wrong, and what the client can do. Options of the server are for operators: `docs/errors.md` names them.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Seconds until a retry may succeed, if one may.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.row().0
    }

    /// The path has no route.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        let path = excerpt(path);
        let detail = format!("{path} does not exist; POST an image to /classify");
        Self::new(Kind::NotFound, detail)
    }

    /// The path of a request that changes models, on the public address.
    #[must_use]
    pub fn on_the_admin_address(path: &str) -> Self {
        let path = excerpt(path);
        let detail =
            format!("{path} exists only on the server's admin address; send the request there");
        Self::new(Kind::NotFound, detail)
    }

    /// The model has no shadow.
    #[must_use]
    pub fn no_shadow(model: &str) -> Self {
        let detail =
            format!("the model {model:?} has no shadow, so there is no comparison to show");
        Self::new(Kind::NotFound, detail)
    }

    /// The route does not support this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let (method, path) = (excerpt(method), excerpt(path));
        let detail = format!(
            "{path} does not support {method}; the Allow header lists the methods it supports"
        );
        Self::new(Kind::MethodNotAllowed, detail)
    }

    /// The request is malformed.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// A change of the models could not be made completely; versions that failed are unchanged.
    #[must_use]
    pub fn change_failed(detail: impl Into<String>) -> Self {
        Self::new(Kind::ChangeFailed, detail)
    }

    /// A parameter, header or form field is invalid.
    #[must_use]
    pub fn invalid_parameter(detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameter, detail)
    }

    /// The body was not complete within `limit`.
    #[must_use]
    pub fn body_timeout(limit: Duration) -> Self {
        let detail = format!("the upload was not complete within {limit:.0?}; send it faster");
        Self::new(Kind::BodyTimeout, detail)
    }

    /// The body is larger than `limit`.
    #[must_use]
    pub fn too_many_bytes(limit: usize) -> Self {
        let detail = format!(
            "the upload has more than {limit} bytes, the limit of this server; send a smaller one"
        );
        Self::new(Kind::TooManyBytes, detail)
    }

    /// The server or model is not ready.
    #[must_use]
    pub fn not_ready(why: &str) -> Self {
        Self::new(Kind::NotReady, why).retry_after(Duration::from_secs(1))
    }

    /// The headers are too large.
    #[must_use]
    pub fn headers_too_large() -> Self {
        let detail = format!(
            "the request line and headers have more than {MAX_HEADERS} bytes, or there are more than {MAX_FIELDS} \
             headers; send \
             fewer or shorter ones",
        );
        Self::new(Kind::HeadersTooLarge, detail)
    }

    /// The upload was slower than `rate` bytes per second.
    #[must_use]
    pub fn too_slow(rate: u64) -> Self {
        let detail = format!(
            "the upload was slower than {rate} bytes per second, or stopped; send it faster"
        );
        Self::new(Kind::BodyTimeout, detail)
    }

    /// The body has an unsupported content encoding.
    #[must_use]
    pub fn unsupported_encoding(detail: impl Into<String>) -> Self {
        Self::new(Kind::UnsupportedEncoding, detail)
    }

    /// The request is for a host that is not allowed.
    #[must_use]
    pub fn host_not_allowed(host: &str) -> Self {
        let host = excerpt(host);
        let detail = format!(
            "this server does not accept requests for the host {host:?}; use another name of the server, its address, \
             or localhost on the same machine"
        );
        Self::new(Kind::HostNotAllowed, detail)
    }

    /// The request has no API key.
    #[must_use]
    pub fn no_api_key() -> Self {
        let detail = "this server requires an API key; send it as Authorization: Bearer KEY, or as X-API-Key: KEY";
        Self::new(Kind::Unauthenticated, detail)
    }

    /// The request's API key is unknown.
    #[must_use]
    pub fn unknown_api_key() -> Self {
        let detail =
            "the API key is not valid; check that it is complete, and that it was not replaced";
        Self::new(Kind::Unauthenticated, detail)
    }

    /// The client `name` has an API key without the role that the admin address requires.
    #[must_use]
    pub fn not_an_admin(name: &str) -> Self {
        let detail = format!(
            "the API key of {name:?} may use models but not change them; send the key of an admin to the admin address"
        );
        Self::new(Kind::NotAnAdmin, detail)
    }

    /// The client has exceeded `rate`; the next request is allowed after `wait`.
    #[must_use]
    pub fn too_many_requests(rate: &str, wait: Duration) -> Self {
        let wait = wait.max(Duration::from_secs(1));
        let detail = format!("this client may send {rate}; retry in {} s", header_seconds(wait));
        Self::new(Kind::TooManyRequests, detail).retry_after(wait)
    }

    /// The client uses HTTP without TLS on a port with TLS.
    #[must_use]
    pub fn tls_required() -> Self {
        Self::bad_request("this port requires TLS; use https://")
    }

    /// The limit for connections is reached.
    #[must_use]
    pub fn too_many_connections() -> Self {
        let detail =
            "the server has as many connections as it allows, and each has a request; retry in 1 s";
        Self::new(Kind::TooManyConnections, detail).retry_after(Duration::from_secs(1))
    }

    /// A problem of the given kind and detail.
    #[must_use]
    pub fn with_detail(kind: Kind, detail: &str) -> Self {
        Self::new(kind, detail)
    }

    /// An error of the server. Its cause is only in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Kind::Internal,
            "the server could not process this request; its log has the cause, with this answer's X-Request-Id",
        )
    }
}

/// Facts about a problem, attached to the response for the log line and the metrics.
#[derive(Debug, Clone)]
pub struct ProblemFacts {
    /// The problem's HTTP status; a gRPC response itself is always 200.
    pub status: StatusCode,
    /// The problem's slug.
    pub reason: &'static str,
    /// The detail sent to the client.
    pub detail: String,
    /// The cause, which is not sent to the client.
    pub cause: Option<String>,
}

impl ProblemFacts {
    /// The status of a request whose client disconnected before its answer, as in nginx.
    pub(super) fn client_gone() -> StatusCode {
        StatusCode::from_u16(499).expect("499 is in the range of statuses")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(&self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response.extensions_mut().insert(traced::AnsweredProblem(self.clone()));
        self.mark(&mut response);
        response
    }
}
