//! `GET /`: the web page, embedded in the binary.

mod docs; // GET /docs

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Page, Server, accept};

/// The page's files: path, content type, bytes.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/page/page.css", STYLE, include_bytes!("page.css")),
    ("/page/card.css", STYLE, include_bytes!("card.css")),
    ("/page/page.js", SCRIPT, include_bytes!("page.js")),
    ("/page/about.js", SCRIPT, include_bytes!("about.js")),
    ("/page/answer.js", SCRIPT, include_bytes!("answer.js")),
    ("/page/camera.js", SCRIPT, include_bytes!("camera.js")),
    ("/page/card.js", SCRIPT, include_bytes!("card.js")),
    ("/page/certainty.js", SCRIPT, include_bytes!("certainty.js")),
    ("/page/code.js", SCRIPT, include_bytes!("code.js")),
    ("/page/connection.js", SCRIPT, include_bytes!("connection.js")),
    ("/page/export.js", SCRIPT, include_bytes!("export.js")),
    ("/page/heat.js", SCRIPT, include_bytes!("heat.js")),
    ("/page/key.js", SCRIPT, include_bytes!("key.js")),
    ("/page/live.js", SCRIPT, include_bytes!("live.js")),
    ("/page/models.js", SCRIPT, include_bytes!("models.js")),
    ("/page/overlay.js", SCRIPT, include_bytes!("overlay.js")),
    ("/page/problems.js", SCRIPT, include_bytes!("problems.js")),
    ("/page/request.js", SCRIPT, include_bytes!("request.js")),
    ("/page/several.js", SCRIPT, include_bytes!("several.js")),
    ("/page/snippets.js", SCRIPT, include_bytes!("snippets.js")),
    ("/page/timings.js", SCRIPT, include_bytes!("timings.js")),
    ("/page/words.js", SCRIPT, include_bytes!("words.js")),
    ("/page/cat.jpg", JPEG, include_bytes!("../../../tests/data/cat.jpg")),
    ("/page/coffee.jpg", JPEG, include_bytes!("samples/coffee.jpg")),
    ("/page/rocket.jpg", JPEG, include_bytes!("samples/rocket.jpg")),
];

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JPEG: &str = "image/jpeg";

/// The answer to `GET /` for clients that do not prefer HTML.
const HINT: &str = "\
resnetd classifies images over HTTP

  curl --data-binary @photo.jpg ADDRESS/classify
  curl ADDRESS/v1/model
  curl ADDRESS/openapi.json

In a browser, this address shows a page to try it out, and /docs the API documentation.
";

/// The content security policy: only files of this server, and images that the page itself creates.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

impl Page {
    /// The page's routes.
    pub(super) fn routes(self) -> OpenApiRouter<Arc<Server>> {
        match self {
            // `POST /` exists for Hugging Face's client, so `GET /` needs its own 404.
            Self::Off => OpenApiRouter::new().route("/", get(super::answer_not_found)),
            Self::On => FILES
                .iter()
                .fold(OpenApiRouter::new(), |routes, (path, kind, bytes)| {
                    routes.route(path, get(async || guarded(kind, *bytes)))
                })
                .routes(routes!(front))
                .merge(docs::routes()),
        }
    }
}

/// The web page
#[utoipa::path(
    get,
    path = "/",
    tag = "pages",
    operation_id = "front",
    responses((status = 200, description = "The page, or a plain-text summary for clients that do not prefer `text/html`", content(
        (String = "text/html"),
        (String = "text/plain"),
    ))),
)]
async fn front(headers: HeaderMap) -> Response {
    let mut response = match accept::best(&headers, &["text/plain", "text/html"]) {
        "text/html" => guarded("text/html; charset=utf-8", include_str!("index.html")),
        _ => guarded("text/plain; charset=utf-8", HINT),
    };
    accept::vary(&mut response);
    response
}

fn guarded(kind: &'static str, body: impl IntoResponse) -> Response {
    let headers: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "camera=(self)"),
        // The next response may be from another version of the program.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (HeaderMap::from_iter(headers), body).into_response()
}
