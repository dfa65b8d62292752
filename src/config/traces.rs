//! Options for traces, with OpenTelemetry's environment variables.

use std::time::Duration;

use clap::Args;

use crate::telemetry::{OtlpProtocol, TracePlan};

/// Traces.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceArgs {
    /// URL of an OpenTelemetry collector to which a span is sent for each request and each of its stages
    /// [default: none; requests are not traced]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// How spans are sent: to port 4318 of a collector with http/protobuf, to 4317 with grpc
    #[arg(
        long,
        hide_short_help = true,
        env = "OTEL_EXPORTER_OTLP_PROTOCOL",
        default_value = "http/protobuf",
        value_enum,
        value_name = "PROTOCOL"
    )]
    pub otlp_protocol: OtlpProtocol,

    /// How long sending may take, in milliseconds
    #[arg(
        long,
        hide_short_help = true,
        env = "OTEL_EXPORTER_OTLP_TIMEOUT",
        default_value_t = 10_000,
        value_name = "MS"
    )]
    pub otlp_timeout: u64,

    /// Name of this service in traces
    #[arg(
        long,
        hide_short_help = true,
        env = "OTEL_SERVICE_NAME",
        default_value = "resnetd",
        value_name = "NAME"
    )]
    pub otel_service_name: String,

    /// Share of requests that are traced, from 0 to 1; a request with a traceparent is traced if its
    /// sampled flag is set
    #[arg(
        long,
        hide_short_help = true,
        env = "OTEL_TRACES_SAMPLER_ARG",
        default_value_t = 1.0,
        value_name = "SHARE"
    )]
    pub otlp_sample: f64,
}

impl TraceArgs {
    /// The collector of spans; `None` if requests are not traced.
    pub(super) fn resolve(&self, wrong: &mut Vec<String>) -> Option<TracePlan> {
        let endpoint = self.otlp_endpoint.as_ref().filter(|endpoint| !endpoint.is_empty())?;
        if url::Url::parse(endpoint).is_err() {
            wrong.push(format!(
                "--otlp-endpoint {endpoint:?} is not a URL; use one such as http://localhost:4318"
            ));
        }
        if !(0.0..=1.0).contains(&self.otlp_sample) {
            wrong.push(format!("--otlp-sample is {}; it must be from 0 to 1", self.otlp_sample));
        }
        Some(TracePlan {
            endpoint: endpoint.clone(),
            protocol: self.otlp_protocol,
            timeout: Duration::from_millis(self.otlp_timeout.max(1)),
            service: self.otel_service_name.clone(),
            sample: self.otlp_sample,
        })
    }
}
