//! Reads the images in a request's body: raw bytes, or the files of a form.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::App;
use super::inflate::{self, inflate};
use super::origin;
use super::problem::{Problem, excerpt};
use super::reserved_bytes::with_reservation;
use super::upload_rate::{TooSlow, paced};
use crate::pipeline::queue::{Rejected, Reservation};
use crate::telemetry::Reason;

/// The images of one request.
#[derive(Debug)]
pub(super) enum RequestImages {
    /// The body, or the only file of a form.
    One(Bytes),
    /// The files of a form, in order.
    Several(Vec<FormFile>),
}

/// One file of a form.
#[derive(Debug)]
pub(super) struct FormFile {
    /// The file's name from the client.
    pub(super) name: Option<String>,
    pub(super) bytes: Bytes,
}

/// Maximum number of images in one request. A result can be larger than its file in the form, so a small
/// request could otherwise cause a very large response.
pub(super) const MAX_IMAGES: usize = 256;

/// The text fields of a form: names and values.
pub(super) type Fields = Vec<(String, String)>;

/// Maximum number of text fields in a form, and of bytes in one. A longer part is a file.
const MAX_FIELDS: usize = 64;
const MAX_FIELD: usize = 32 << 10;

/// Reads the whole body, at most `--max-bytes` of it, within the body timeout.
///
/// Its memory is reserved as it arrives, and released when the last reference to the bytes is dropped. It is
/// rejected before the first byte if its announced length exceeds a limit, or if the queue is full and no image of
/// this client may displace another one.
///
/// The content type is ignored, except for a form, whose boundary is in the header.
///
/// Text fields of a form are returned with the images; their names must be in `parameters`.
pub(super) async fn read(
    app: &App,
    request: Request,
    parameters: &[&str],
) -> Result<(RequestImages, Fields), Problem> {
    let limit = app.model.pipeline.plan().limits.max_bytes;
    let (request, held) = charge(app, request)?;
    let reading = async {
        let request = inflated(app, request, limit, &held).await?;
        if is_form(request.headers()) {
            let (mut parts, fields) = read_form(app, request, parameters, &held).await?;
            let upload = match parts.len() {
                1 => RequestImages::One(parts.remove(0).bytes),
                _ => RequestImages::Several(parts),
            };
            Ok((upload, fields))
        } else {
            Ok((
                RequestImages::One(with_reservation(raw(request, limit).await?, &held)),
                Fields::new(),
            ))
        }
    };
    in_time(app, reading).await
}

/// Like [`read`], but the body is never a form.
pub(super) async fn read_whole(app: &App, request: Request) -> Result<Bytes, Problem> {
    let limit = app.model.pipeline.plan().limits.max_bytes;
    let (request, held) = charge(app, request)?;
    let reading = async {
        let request = inflated(app, request, limit, &held).await?;
        Ok(with_reservation(raw(request, limit).await?, &held))
    };
    in_time(app, reading).await
}

/// Decompresses the body of a request.
async fn inflated(
    app: &App,
    mut request: Request,
    limit: usize,
    held: &Arc<Reservation>,
) -> Result<Request, Problem> {
    let Some(encoding) = inflate::named(request.headers())? else { return Ok(request) };
    request.headers_mut().remove(header::CONTENT_ENCODING);
    let (mut parts, body) = request.into_parts();
    let announced = content_length(&parts.headers).unwrap_or(0);
    parts.headers.remove(header::CONTENT_LENGTH);
    let compressed = read_raw(body, announced).await.map_err(|error| unread(&error, limit))?;
    let working = app.model.pipeline.reserve(encoding.working_memory())?;
    // The compressed and the decompressed body exist at the same time.
    let held = Arc::clone(held);
    let rejected_for = counting(app);
    let inflating = move || {
        let _working = working;
        inflate(&compressed, encoding, limit, &held, rejected_for)
    };
    let whole = app.server.shared.parse(usize::MAX, inflating).await?;
    Ok(Request::from_parts(parts, Body::from(whole)))
}

/// The complete body.
async fn raw(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let announced = content_length(request.headers()).unwrap_or(0);
    read_raw(request.into_body(), announced).await.map_err(|error| unread(&error, limit))
}

pub(super) fn unread(error: &axum::Error, limit: usize) -> Problem {
    why_refused(error, limit)
        .unwrap_or_else(|| Problem::bad_request(format!("the body cannot be read: {error}")))
}

/// Reserves memory for the body as it arrives; returns the request and the reservation.
fn charge(app: &App, request: Request) -> Result<(Request, Arc<Reservation>), Problem> {
    let limit = app.model.pipeline.plan().limits.max_bytes;
    let announced = content_length(request.headers());
    if announced.is_some_and(|length| length > limit) {
        return Err(Problem::too_many_bytes(limit));
    }
    let held = Arc::new(
        app.model.pipeline.receive(&origin::of(request.extensions()), announced.unwrap_or(0))?,
    );
    held.shrink_to(0);
    let request =
        request.map(|body| charged(paced(&app.server, body), limit, &held, counting(app)));
    Ok((request, held))
}

async fn in_time<T>(
    app: &App,
    reading: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    tokio::time::timeout(app.server.timeouts.body, reading)
        .await
        .unwrap_or_else(|_| Err(Problem::body_timeout(app.server.timeouts.body)))
}

/// Limits the body to `limit` bytes, and charges each chunk to `held` before it is passed on.
pub(super) fn charged(
    body: Body,
    limit: usize,
    held: &Arc<Reservation>,
    rejected_for: impl Fn(Reason) + Send + 'static,
) -> Body {
    let held = Arc::clone(held);
    let chunks = Limited::new(body, limit).into_data_stream().map(move |chunk| {
        let chunk = chunk?;
        held.grow(chunk.len() as u64).inspect_err(|rejected| rejected_for(rejected.reason()))?;
        Ok::<_, Box<dyn Error + Send + Sync>>(chunk)
    });
    Body::from_stream(chunks)
}

/// Counts rejections in the metrics of the request's model.
pub(super) fn counting(app: &App) -> impl Fn(Reason) + Send + 'static {
    let metrics = Arc::clone(app.model.pipeline.metrics());
    move |reason| metrics.rejected(reason)
}

/// Reserves `most` bytes for the result of `make`, before it is computed.
pub(super) fn reserve_for<E>(
    app: &App,
    most: usize,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Result<Bytes, E>, Problem> {
    let held = Arc::new(app.model.pipeline.reserve(most)?);
    Ok(make().map(|bytes| with_reservation(bytes.into(), &held)))
}

/// Maximum buffer that is allocated for an announced length before data arrives.
const MAX_INITIAL_CAPACITY: usize = 1 << 20;

/// Copies all frames into one buffer, because a list would use far more memory for a body sent byte by byte.
pub(super) async fn read_raw(mut body: Body, announced: usize) -> Result<Bytes, axum::Error> {
    let mut whole = BytesMut::with_capacity(announced.min(MAX_INITIAL_CAPACITY));
    while let Some(frame) = body.frame().await {
        whole.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
    }
    Ok(whole.freeze())
}

async fn read_form(
    app: &App,
    request: Request,
    parameters: &[&str],
    held: &Arc<Reservation>,
) -> Result<(Vec<FormFile>, Fields), Problem> {
    let limit = app.model.pipeline.plan().limits.max_bytes;
    let unreadable =
        |reason: String| Problem::invalid_parameter(format!("the form cannot be read: {reason}"));
    let mut form = Multipart::from_request(request, app)
        .await
        .map_err(|error| unreadable(error.body_text()))?;
    let (mut parts, mut fields) = (Vec::new(), Fields::new());
    loop {
        match next_part(&mut form).await {
            Ok(Some(Piece::Text(name, text))) => field(&mut fields, name, text, parameters)?,
            Ok(Some(Piece::File(_))) if parts.len() == MAX_IMAGES => {
                let detail =
                    format!("the form has more than {MAX_IMAGES} files; send fewer at once");
                return Err(Problem::invalid_parameter(detail));
            }
            Ok(Some(Piece::File(part))) => {
                parts.push(FormFile { bytes: with_reservation(part.bytes, held), ..part });
            }
            Ok(None) if parts.is_empty() => {
                let detail =
                    "the form has no file; send at least one, as in curl -F image=@cat.jpg";
                return Err(Problem::invalid_parameter(detail));
            }
            Ok(None) => return Ok((parts, fields)),
            Err(error) => {
                return Err(
                    why_refused(&error, limit).unwrap_or_else(|| unreadable(error.body_text()))
                );
            }
        }
    }
}

/// Adds a text field to `fields`; its name must be in `parameters`.
fn field(
    fields: &mut Fields,
    name: String,
    text: String,
    parameters: &[&str],
) -> Result<(), Problem> {
    if !parameters.contains(&name.as_str()) {
        let known = if parameters.is_empty() { "none".to_owned() } else { parameters.join(", ") };
        let name = excerpt(&name);
        return Err(Problem::bad_request(format!(
            "the form field {name:?} is neither a file nor a known parameter; parameters are {known}, and a \
             file has a filename, as in curl -F file=@cat.jpg"
        )));
    }
    if fields.len() == MAX_FIELDS {
        return Err(Problem::bad_request(format!(
            "the form has more than {MAX_FIELDS} text fields; send each parameter once"
        )));
    }
    fields.push((name, text));
    Ok(())
}

async fn next_part(
    form: &mut Multipart,
) -> Result<Option<Piece>, axum::extract::multipart::MultipartError> {
    let Some(field) = form.next_field().await? else { return Ok(None) };
    let file = field.file_name().map(|name| excerpt(name).into_owned());
    let typed = field.content_type().is_none_or(|kind| kind.starts_with("text/"));
    let name = field.name().map(str::to_owned);
    let bytes = field.bytes().await?;
    Ok(Some(match (&file, name) {
        (None, Some(name)) if typed && bytes.len() <= MAX_FIELD => {
            match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Piece::Text(name, text),
                // Bytes that are not UTF-8 are a file, even without a filename.
                Err(_) => Piece::File(FormFile { name: file, bytes }),
            }
        }
        _ => Piece::File(FormFile { name: file, bytes }),
    }))
}

/// One part of a form.
enum Piece {
    File(FormFile),
    /// A name and a value.
    Text(String, String),
}

/// Why the server stopped reading a body.
pub(super) enum ReadStopped {
    /// It is too large.
    TooLong,
    /// Its next bytes exceed the memory limit.
    Rejected(Rejected),
    /// It was too slow.
    TooSlow(TooSlow),
}

/// The server's reason for ending the body, from the error's chain of causes.
pub(super) fn why_ended(error: &(dyn Error + 'static)) -> Option<ReadStopped> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|cause| {
        if cause.is::<LengthLimitError>() {
            return Some(ReadStopped::TooLong);
        }
        if let Some(slow) = cause.downcast_ref::<TooSlow>() {
            return Some(ReadStopped::TooSlow(*slow));
        }
        cause.downcast_ref::<Rejected>().cloned().map(ReadStopped::Rejected)
    })
}

pub(super) fn why_refused(error: &(dyn Error + 'static), limit: usize) -> Option<Problem> {
    Some(match why_ended(error)? {
        ReadStopped::TooLong => Problem::too_many_bytes(limit),
        ReadStopped::Rejected(rejected) => rejected.into(),
        ReadStopped::TooSlow(TooSlow { rate }) => Problem::too_slow(rate),
    })
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is a form. Without a boundary it is read as raw bytes.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    has_content_type(headers, "multipart/form-data")
        && headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            memchr::memmem::find(&value.as_bytes().to_ascii_lowercase(), b"boundary=").is_some()
        })
}

/// Whether the content type is `kind`, with or without parameters.
pub(super) fn has_content_type(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(kind))
}
