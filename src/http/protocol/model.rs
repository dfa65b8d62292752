//! Checks that a request names the model of this server.

use crate::http::App;
use crate::http::problem::Problem;

/// What the one model's version is called.
pub(super) const VERSION: &str = "1";

/// That `typed` is the model that is served.
pub(super) fn check(app: &App, typed: &str) -> Result<(), Problem> {
    let served = &app.pipeline.card().name;
    if typed == served { Ok(()) } else { Err(Problem::no_such_model(typed, served)) }
}

/// That `typed` is the version that is served.
pub(super) fn check_version(typed: &str) -> Result<(), Problem> {
    match typed {
        VERSION | "1.0" => Ok(()),
        other => Err(Problem::no_such_version(other)),
    }
}
