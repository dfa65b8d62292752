//! Spans of batches.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::Traces;

/// The span of a recorded request, to which spans of batches are linked.
#[derive(Debug, Clone)]
pub struct RequestSpan {
    /// The sender of spans.
    pub traces: Arc<Traces>,
    /// The request's span.
    pub context: SpanContext,
}

/// The ids of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanIds {
    /// Id of its trace.
    pub trace: TraceId,
    /// Id of the span.
    pub span: SpanId,
}

/// Sends the span of a batch of `images` that took `inference` and ends now, linked to each of `requests`,
/// and returns its ids. It is the root of its own trace, because it has several requests. A batch of one
/// image has no span: the request's span has its time.
pub fn batch<'a>(
    requests: impl Iterator<Item = &'a RequestSpan>,
    images: usize,
    inference: Duration,
) -> Option<SpanIds> {
    if images < 2 {
        return None;
    }
    let (mut traces, mut links) = (None, Vec::<Link>::new());
    for RequestSpan { traces: sender, context } in requests {
        traces = Some(sender);
        if !links.iter().any(|link| link.span_context == *context) {
            links.push(Link::with_context(context.clone()));
        }
    }
    let traces = traces?;
    let context = traces.root();
    let ids = SpanIds { trace: context.trace_id(), span: context.span_id() };
    let now = SystemTime::now();
    let mut span = SpanData {
        attributes: vec![images_attribute(images)],
        ..traces.span("batch".into(), now - inference, now)
    };
    span.span_context = context;
    span.links.links = links;
    traces.send(span);
    Some(ids)
}

/// The batch size, as an attribute.
#[must_use]
pub fn images_attribute(images: usize) -> KeyValue {
    KeyValue::new("resnetd.batch_size", i64::try_from(images).unwrap_or(i64::MAX))
}
