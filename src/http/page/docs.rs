//! `GET /docs`: interactive API documentation with Swagger UI, which reads `/openapi.json`.

use std::io::{Cursor, Read};
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

use super::{SCRIPT, STYLE, guarded};
use crate::http::Server;
use crate::http::problem::Problem;

/// Files of Swagger UI: name in its package, path on this server, type.
const FROM_SWAGGER_UI: &[(&str, &str, &str)] = &[
    ("/dist/swagger-ui.css", "/docs/swagger-ui.css", STYLE),
    ("/dist/swagger-ui-bundle.js", "/docs/swagger-ui-bundle.js", SCRIPT),
];

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    let own = OpenApiRouter::new()
        .routes(routes!(docs))
        .route("/docs/docs.js", get(async || guarded(SCRIPT, include_str!("docs.js"))))
        .route("/docs/docs.css", get(async || guarded(STYLE, include_str!("docs.css"))));
    FROM_SWAGGER_UI.iter().fold(own, |routes, (name, path, kind)| {
        routes.route(path, get(async || from_swagger_ui(name, kind)))
    })
}

/// Interactive API documentation
#[utoipa::path(
    get,
    path = "/docs",
    tag = "pages",
    operation_id = "docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
)]
async fn docs() -> Response {
    guarded("text/html; charset=utf-8", include_str!("docs.html"))
}

/// Always compressed: only browsers request these files, and all of them accept gzip.
fn from_swagger_ui(name: &str, kind: &'static str) -> Response {
    match gzipped(name) {
        Ok(file) => {
            let mut response = guarded(kind, file);
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
            response
        }
        Err(error) => {
            tracing::error!(%error, name, "a file of Swagger UI cannot be read");
            Problem::internal().into_response()
        }
    }
}

/// The file whose path in the package ends with `name`. Its compressed bytes are copied, with the header and
/// trailer of gzip (RFC 1952).
fn gzipped(name: &str) -> ZipResult<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let index = (0..archive.len())
        .find(|&index| matches!(archive.name_for_index(index), Some(Ok(path)) if path.ends_with(name)))
        .ok_or(ZipError::FileNotFound)?;
    let mut file = archive.by_index_raw(index)?;
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    file.read_to_end(&mut bytes)?;
    bytes.extend(file.crc32().to_le_bytes());
    // The length modulo 2³², as the format requires.
    bytes.extend(&file.size().to_le_bytes()[..4]);
    Ok(bytes)
}
