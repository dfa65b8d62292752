//! Applies changes of the models that a request makes.

use super::Server;
use super::problem::Problem;
use crate::registry::{Control, ControlError};

/// Makes a change of the models, off the async threads. It is made to the end even if the client leaves.
pub(super) async fn apply_change<T: Send + 'static>(
    server: &Server,
    change: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(control) = server.control.clone() else {
        return Err(Problem::invalid_parameter("the models of this server cannot be changed"));
    };
    let made = tokio::task::spawn_blocking(move || change(&control)).await;
    made.map_err(|_| Problem::internal())?.map_err(Problem::from)
}
