//! Options for Vertex AI.

use std::net::SocketAddr;

use clap::Args;

use crate::http::VertexRoutes;

/// Settings that Vertex AI passes to a container in these environment variables.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Vertex AI")]
pub struct VertexArgs {
    /// Additional path for Vertex AI predictions; /invocations accepts them too
    #[arg(hide_short_help = true, long, env = "AIP_PREDICT_ROUTE", value_name = "PATH")]
    pub vertex_predict_route: Option<String>,

    /// Additional path for Vertex AI health checks; /ping and /health answer them too
    #[arg(hide_short_help = true, long, env = "AIP_HEALTH_ROUTE", value_name = "PATH")]
    pub vertex_health_route: Option<String>,

    /// Port for Vertex AI; replaces the port of --listen
    #[arg(hide_short_help = true, long, env = "AIP_HTTP_PORT", value_name = "PORT")]
    pub vertex_port: Option<u16>,
}

impl VertexArgs {
    pub(super) fn routes(&self, wrong: &mut Vec<String>) -> VertexRoutes {
        let predict = self.vertex_predict_route.as_deref();
        let health = self.vertex_health_route.as_deref();
        VertexRoutes::new(predict, health).unwrap_or_else(|bad| {
            wrong.extend(bad.iter().map(ToString::to_string));
            VertexRoutes::default()
        })
    }

    /// `listen` with the port of Vertex AI, if it is set.
    pub(super) fn listen(&self, listen: SocketAddr) -> SocketAddr {
        SocketAddr::new(listen.ip(), self.vertex_port.unwrap_or(listen.port()))
    }
}
