//! `GET /`: a page for people, whole inside the binary.

mod docs; // GET /docs

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::ValueEnum;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, accept};

/// Whether there is a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// `GET /` answers it, and `GET /docs` the one about the API.
    On,
    /// `GET /` and `GET /docs` are as any path that nothing is at.
    Off,
}

/// What the page is made of: path, type, text.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/page/page.css", STYLE, include_bytes!("page.css")),
    ("/page/page.js", SCRIPT, include_bytes!("page.js")),
    ("/page/heat.js", SCRIPT, include_bytes!("heat.js")),
    ("/page/camera.js", SCRIPT, include_bytes!("camera.js")),
    ("/page/live.js", SCRIPT, include_bytes!("live.js")),
    ("/page/model.js", SCRIPT, include_bytes!("model.js")),
    ("/page/words.js", SCRIPT, include_bytes!("words.js")),
    ("/page/cat.jpg", JPEG, include_bytes!("../../../tests/data/cat.jpg")),
    ("/page/coffee.jpg", JPEG, include_bytes!("samples/coffee.jpg")),
    ("/page/rocket.jpg", JPEG, include_bytes!("samples/rocket.jpg")),
];

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JPEG: &str = "image/jpeg";

/// For programs that ask for `/`.
const HINT: &str = "\
resnetd: a photo in, its classes out

  curl --data-binary @photo.jpg ADDRESS/classify
  curl ADDRESS/v1/model
  curl ADDRESS/openapi.json

In a browser there is a page here, and one about the API at /docs.
";

/// Nothing but what this server serves, and pictures that the page makes itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

impl Page {
    /// Its routes.
    pub(super) fn routes(self) -> OpenApiRouter<App> {
        match self {
            // Programs post there, so that it has to be said that nothing is got.
            Self::Off => OpenApiRouter::new().route("/", get(super::nothing_here)),
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

/// A page for people
///
/// For programs a hint: `text/html` is answered where `Accept` likes it better than plain text.
#[utoipa::path(
    get,
    path = "/",
    tag = "pages",
    operation_id = "front",
    responses((status = 200, description = "The page, or the hint", content(
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
        // Another version of the program may answer the next time.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (HeaderMap::from_iter(headers), body).into_response()
}
