//! Applies changes of the models that a request makes.

use super::Server;
use super::problem::Problem;
use crate::registry::{Control, ControlError};

/// Applies a change on a blocking thread. It is completed even if the client disconnects.
pub(super) async fn apply_change(
    server: &Server,
    change: impl FnOnce(&Control) -> Result<(), ControlError> + Send + 'static,
) -> Result<(), Problem> {
    let Some(control) = server.control.clone() else {
        return Err(Problem::invalid_parameter("the models of this server cannot be apply_change"));
    };
    let made = tokio::task::spawn_blocking(move || change(&control)).await;
    made.map_err(|_| Problem::internal())?.map_err(Problem::from)
}
