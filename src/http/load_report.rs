//! Load reports for load balancers in the ORCA format (Open Request Cost Aggregation), added to the response
//! if the request has the header `endpoint-load-metrics-format`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde::Serialize;

use super::Server;
use super::problem::grpc;
use crate::registry::Served;

/// The request header with the requested format.
const REQUEST_HEADER: &str = "endpoint-load-metrics-format";
const REPORT: HeaderName = HeaderName::from_static("endpoint-load-metrics");
/// The header for protobuf, used by gRPC's load balancers.
const REPORT_BIN: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportFormat {
    /// `TEXT name=value,…`
    Text,
    /// `JSON {…}`
    Json,
    /// An `OrcaLoadReport` in base64.
    Bin,
}

impl ReportFormat {
    /// The requested format. Unknown ones are ignored, because the header is from a load balancer, and the
    /// answer is for its client.
    pub(super) fn requested(headers: &HeaderMap) -> Option<Self> {
        let asked = headers.get(REQUEST_HEADER)?.to_str().ok()?.trim();
        let formats = [("text", Self::Text), ("json", Self::Json), ("bin", Self::Bin)];
        let found = formats.iter().find(|(name, _)| asked.eq_ignore_ascii_case(name));
        found.map(|(_, format)| *format)
    }
}

/// The fields of `xds.data.orca.v3.OrcaLoadReport` that resnetd sets.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
pub(super) struct LoadReport {
    #[prost(double, tag = "2")]
    mem_utilization: f64,
    #[prost(double, tag = "6")]
    rps_fractional: f64,
    #[prost(btree_map = "string, double", tag = "8")]
    named_metrics: std::collections::BTreeMap<String, f64>,
    #[prost(double, tag = "9")]
    application_utilization: f64,
}

impl LoadReport {
    /// The current load of `model` and of the server.
    #[expect(clippy::cast_precision_loss, reason = "bytes and counts are far below 2^53")]
    pub(super) fn of(server: &Server, model: &Served) -> Self {
        let (metrics, pipeline) = (&server.metrics, &model.pipeline);
        let limit = metrics.admission_limit_bytes.get().max(1) as f64;
        let named = [
            ("predicted_wait_seconds", pipeline.predicted_wait().as_secs_f64()),
            ("images_in_flight", pipeline.images_in_flight() as f64),
        ];
        Self {
            mem_utilization: rounded(metrics.admitted_bytes.get() as f64 / limit).min(1.0),
            rps_fractional: rounded(server.shared.requests.per_second()),
            named_metrics: named.map(|(name, value)| (name.to_owned(), rounded(value))).into(),
            application_utilization: rounded(pipeline.utilization()),
        }
    }

    fn text(&self) -> String {
        let own = [
            ("application_utilization", self.application_utilization),
            ("mem_utilization", self.mem_utilization),
            ("rps_fractional", self.rps_fractional),
        ];
        let mut pairs: Vec<String> =
            own.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.extend(
            self.named_metrics.iter().map(|(name, value)| format!("named_metrics.{name}={value}")),
        );
        pairs.join(",")
    }

    fn header(&self, format: ReportFormat) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match format {
            ReportFormat::Text => (REPORT, format!("TEXT {}", self.text())),
            ReportFormat::Json => (REPORT, format!("JSON {}", serde_json::to_string(self).ok()?)),
            ReportFormat::Bin => {
                (REPORT_BIN, STANDARD_NO_PAD.encode(prost::Message::encode_to_vec(self)))
            }
        };
        Some((name, HeaderValue::try_from(value).ok()?))
    }
}

/// Adds `report` to the response: in the trailers over gRPC, otherwise in a header.
pub(super) fn attached(
    mut response: Response,
    report: &LoadReport,
    format: ReportFormat,
) -> Response {
    let Some((name, value)) = report.header(format) else { return response };
    let headers = response.headers_mut();
    // A gRPC error consists of trailers only, which are sent as headers.
    if !grpc::is_grpc(headers) || headers.contains_key("grpc-status") {
        headers.insert(name, value);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                trailers.insert(name.clone(), value.clone());
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }))
    })
}

/// Rounded to four decimals, so that reports are short.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_three_formats_of_orca() {
        let report = LoadReport {
            mem_utilization: 0.25,
            rps_fractional: 12.5,
            named_metrics: [("predicted_wait_seconds".to_owned(), 0.01)].into(),
            application_utilization: 0.5,
        };
        let header = |format| report.header(format).unwrap();
        let (name, value) = header(ReportFormat::Text);
        assert_eq!(name, "endpoint-load-metrics");
        assert_eq!(
            value,
            "TEXT application_utilization=0.5,mem_utilization=0.25,rps_fractional=12.5,\
             named_metrics.predicted_wait_seconds=0.01"
        );
        let (_, value) = header(ReportFormat::Json);
        let json = value.to_str().unwrap().strip_prefix("JSON ").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["named_metrics"]["predicted_wait_seconds"], 0.01);
        assert_eq!(json["application_utilization"], 0.5);
        let (name, value) = header(ReportFormat::Bin);
        assert_eq!(name, "endpoint-load-metrics-bin");
        let bytes = STANDARD_NO_PAD.decode(value).unwrap();
        assert_eq!(<LoadReport as prost::Message>::decode(&*bytes).unwrap(), report);
    }

    #[test]
    fn unknown_formats_are_ignored() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_HEADER, HeaderValue::from_static(value));
            ReportFormat::requested(&headers)
        };
        assert_eq!(asked("TEXT"), Some(ReportFormat::Text));
        assert_eq!(asked("json"), Some(ReportFormat::Json));
        assert_eq!(asked("xml"), None);
        assert_eq!(ReportFormat::requested(&HeaderMap::new()), None);
    }
}
