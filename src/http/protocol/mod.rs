//! Other servers' protocols, for the clients that speak them.

mod v2; // the Open Inference Protocol, as KServe and Triton serve it

use axum::Router;

use super::App;

pub(super) fn routes() -> Router<App> {
    v2::routes()
}
