//! The problems that each route can answer, with real messages as examples.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{
    ContentBuilder, OneOfBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::super::answers::FileProblem;
use super::super::problem::{Kind, Problem};
use crate::fetch::FetchError;
use crate::pipeline::ClassifyError;
use crate::pipeline::NotOffered;
use crate::pipeline::decode::{DecodeError, Format};
use crate::pipeline::queue::{JobError, Rejected};

/// Problems of routes that accept images and run the network.
pub(in super::super) enum NetworkProblems {}

/// Problems of routes that accept images and do not run the network.
pub(in super::super) enum UploadProblems {}

/// Problems of routes that run the network and have a model in their path.
pub(in super::super) enum NamedModelProblems {}

/// Problems of routes that have a model in their path and do not run the network.
pub(in super::super) enum NotFound {}

/// Problems of `/readyz`.
pub(in super::super) enum NotReady {}

const OF_UPLOADS: &[Kind] = &[
    Kind::BadRequest,
    Kind::Unauthenticated,
    Kind::NotAnImage,
    Kind::TruncatedImage,
    Kind::CorruptImage,
    Kind::BodyTimeout,
    Kind::TooManyBytes,
    Kind::TooManyPixels,
    Kind::UnsupportedFormat,
    Kind::UnsupportedEncoding,
    Kind::HostNotAllowed,
    Kind::TooManyRequests,
    Kind::ClientLimit,
    Kind::HeadersTooLarge,
    Kind::TooManyConnections,
    Kind::InvalidParameter,
    Kind::Internal,
    Kind::QueueFull,
    Kind::MemoryLimit,
    Kind::Deadline,
    Kind::Draining,
    Kind::NotReady,
];

impl IntoResponses for UploadProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[OF_UPLOADS, OF_URLS].concat(), FormSupport::Allowed)
    }
}

/// Problems of images by URL.
const OF_URLS: &[Kind] = &[Kind::UrlNotAllowed, Kind::UrlFailed, Kind::UrlTimeout];

impl IntoResponses for NetworkProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let kinds = [OF_UPLOADS, OF_URLS, &[Kind::NotOffered, Kind::InferenceFailed]].concat();
        responses(&kinds, FormSupport::Allowed)
    }
}

impl IntoResponses for NamedModelProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = NetworkProblems::responses();
        responses.extend(self::responses(&[Kind::NotFound], FormSupport::None));
        responses
    }
}

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[Kind::NotFound, Kind::NotReady], FormSupport::None)
    }
}

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[Kind::NotReady], FormSupport::None)
    }
}

/// Whether a route accepts forms, for which there can be several problems.
#[derive(Clone, Copy)]
enum FormSupport {
    Allowed,
    None,
}

/// A response for each status of `kinds`.
fn responses(kinds: &[Kind], forms: FormSupport) -> BTreeMap<String, RefOr<Response>> {
    let mut of_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in kinds {
        of_status.entry(kind.row().0.as_u16()).or_default().push(*kind);
    }
    let response = |(status, kinds): (u16, Vec<Kind>)| {
        let titles: Vec<_> = kinds.iter().map(|kind| kind.row().2).collect();
        let one = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(Problem::name())))
            .examples_from_iter(kinds.iter().map(|kind| {
                let (_, slug, title) = kind.row();
                let value = json!(example(*kind));
                (slug, ExampleBuilder::new().summary(title).value(Some(value)).build())
            }));
        let mut response = ResponseBuilder::new()
            .description(titles.join("; "))
            .content("application/problem+json", one.build());
        if matches!(forms, FormSupport::Allowed) && kinds.iter().any(|kind| is_of_one_image(*kind))
        {
            let all = ContentBuilder::new().schema(Some(Ref::from_schema_name(Failure::name())));
            response = response.content("application/json", all.build());
        }
        (status.to_string(), response.build().into())
    };
    of_status.into_iter().map(response).collect()
}

/// Whether the problem can be that of one image, rather than of the whole request.
fn is_of_one_image(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::BadRequest
            | Kind::BodyTimeout
            | Kind::TooManyBytes
            | Kind::InvalidParameter
            | Kind::UnsupportedEncoding
            | Kind::HostNotAllowed
            | Kind::Unauthenticated
            | Kind::TooManyRequests
            | Kind::HeadersTooLarge
            | Kind::TooManyConnections
            | Kind::NotReady
    )
}

/// The answer for a form in which every file failed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct AllFailed {
    /// The model's name.
    model: String,
    /// The problem of each file, in order. The status of the response is the highest of theirs.
    results: Vec<FileProblem>,
}

/// An error in JSON: the problems of all files of a form, or one problem. Generated clients use one schema
/// for all errors regardless of the content type, so the one for `application/json` includes both.
pub(super) enum Failure {}

impl PartialSchema for Failure {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name(Problem::name()))
            .item(Ref::from_schema_name(AllFailed::name()))
            .description(Some(
                "A problem, or for a form in which every file failed the problem of each file.",
            ))
            .into()
    }
}

impl ToSchema for Failure {}

/// An example of a problem of this kind.
fn example(kind: Kind) -> Problem {
    let refused = |rejected: Rejected| Problem::from(rejected);
    let decode = |error: DecodeError| Problem::from(ClassifyError::Decode(error));
    let retry_after = Duration::from_secs(3);
    let url = "https://images.example.org/cat.jpg".to_owned();
    match kind {
        Kind::NotAnImage => decode(DecodeError::NotAnImage { seen: "text".to_owned() }),
        Kind::TruncatedImage => decode(DecodeError::Truncated { format: Format::Jpeg }),
        Kind::CorruptImage => decode(DecodeError::Corrupt {
            format: Format::Png,
            cause: "a checksum is wrong".to_owned(),
        }),
        Kind::BadRequest => Problem::bad_request("the body cannot be read: connection reset"),
        Kind::Unauthenticated => Problem::no_api_key(),
        Kind::TooManyRequests => Problem::too_many_requests("20 requests per second", retry_after),
        Kind::ClientLimit => refused(Rejected::ClientLimit { images: 8, retry_after }),
        Kind::NotFound => Problem::not_found("/clasify"),
        Kind::MethodNotAllowed => Problem::method_not_allowed("GET", "/classify"),
        Kind::BodyTimeout => Problem::body_timeout(Duration::from_secs(30)),
        Kind::TooManyBytes => Problem::too_many_bytes(20 << 20),
        Kind::TooManyPixels => {
            decode(DecodeError::TooManyPixels { pixels: 2_500_000_000, limit: 50_000_000 })
        }
        Kind::UnsupportedFormat => decode(DecodeError::Unsupported { format: "an HEIC image" }),
        Kind::UnsupportedEncoding => Problem::unsupported_encoding(
            "Content-Encoding is \"compress\"; send the body uncompressed, or with gzip, deflate, zstd, br",
        ),
        Kind::HostNotAllowed => Problem::host_not_allowed("images.example.org"),
        Kind::HeadersTooLarge => Problem::headers_too_large(),
        Kind::TooManyConnections => Problem::too_many_connections(),
        Kind::InvalidParameter => {
            Problem::invalid_parameter("top_k is \"0\"; it takes a whole number, at least 1")
        }
        Kind::NotAnAdmin => Problem::not_an_admin("phone"),
        Kind::UrlNotAllowed => FetchError::Disabled.into(),
        Kind::UrlFailed => FetchError::TooManyRedirects { url, limit: 3 }.into(),
        Kind::UrlTimeout => FetchError::Timeout { url, limit: Duration::from_secs(5) }.into(),
        Kind::NotOffered => ClassifyError::NotOffered(NotOffered::NoEmbedding).into(),
        Kind::ChangeFailed => Problem::change_failed("the model \"pets\" has no canary"),
        Kind::QueueFull => refused(Rejected::QueueFull { images: 256, retry_after }),
        Kind::MemoryLimit => {
            refused(Rejected::Memory { wanted: 150_000_000, limit: 1 << 30, retry_after })
        }
        Kind::Deadline => {
            ClassifyError::Deadline { limit: Duration::from_millis(50), retry_after }.into()
        }
        Kind::Draining => refused(Rejected::Draining),
        Kind::NotReady => Problem::not_ready("the server is shutting down"),
        Kind::InferenceFailed => ClassifyError::Run(JobError::NotFinite).into(),
        Kind::Internal => Problem::internal(),
    }
}
