//! The spans of a request: one for the request, as a child of the client's span if there is one, and one for
//! each stage.
//!
//! They are created after the answer, from times that are measured anyway. The pipeline only adds a span for each batch of
//! several images.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Link, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SpanData;

use crate::pipeline::Timings;
use crate::telemetry::Traces;
use crate::telemetry::spans::{self, RequestSpan, SpanIds};

/// A request that may be traced.
#[derive(Debug)]
pub(super) struct Trace {
    traces: Arc<Traces>,
    context: SpanContext,
    parent: SpanContext,
    began: Instant,
    began_at: SystemTime,
}

/// A request that was answered.
pub(super) struct EndedRequest<'a> {
    pub(super) name: String,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) is_error: bool,
    /// Time from the beginning until the body was complete; `None` without a body.
    pub(super) upload: Option<Duration>,
    pub(super) images: &'a [Timings],
}

impl Trace {
    /// A child of the span in `traceparent`, or the root of a new trace.
    pub(super) fn begin(traces: &Arc<Traces>, headers: &HeaderMap) -> Self {
        let extractor = HeaderExtractor(headers);
        // A new context, because this thread's current one is unrelated to the request.
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor);
        let parent = context.span().span_context().clone();
        Self {
            context: traces.begin(&parent),
            traces: Arc::clone(traces),
            parent,
            began: Instant::now(),
            began_at: SystemTime::now(),
        }
    }

    /// The trace's id.
    pub(super) fn id(&self) -> TraceId {
        self.context.trace_id()
    }

    /// The trace's id, if the trace is recorded.
    pub(super) fn recorded(&self) -> Option<TraceId> {
        self.context.is_sampled().then(|| self.id())
    }

    /// The request's span, to which spans of batches are linked; `None` if the trace is not recorded.
    pub(super) fn request_span(&self) -> Option<Arc<RequestSpan>> {
        let (traces, context) = (Arc::clone(&self.traces), self.context.clone());
        self.context.is_sampled().then(|| Arc::new(RequestSpan { traces, context }))
    }

    /// The value of `traceresponse`.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let (span, flags) = (self.context.span_id(), self.context.trace_flags());
        HeaderValue::try_from(format!("00-{}-{span}-{:02x}", self.id(), flags.to_u8())).ok()
    }

    /// Queues the spans of a request that ends now, if the trace is recorded.
    pub(super) fn end(&self, ended: EndedRequest<'_>) {
        if !self.context.is_sampled() {
            return;
        }
        let now = self.began.elapsed();
        let EndedRequest { name, attributes, is_error, upload, images } = ended;
        if let Some(upload) = upload {
            self.traces.send(self.child("upload", Duration::ZERO..upload.min(now)));
        }
        for timings in images {
            self.image(timings, now);
        }
        let status = if is_error { Status::error("") } else { Status::Unset };
        let own = self.span(name.into(), Duration::ZERO..now, attributes);
        self.traces.send(SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent.span_id(),
            parent_span_is_remote: self.parent.is_valid(),
            span_kind: SpanKind::Server,
            status,
            ..own
        });
    }

    /// Sends the spans of an image's stages in their order. The pipeline measures the duration of each stage
    /// and the end of the last one, so a pause between stages appears before the first one.
    fn image(&self, timings: &Timings, now: Duration) {
        let Timings { decode_wait, decode, preprocess, queue, inference, .. } = *timings;
        let Timings { batch_size, batch, ended, .. } = *timings;
        let mut end = ended.map_or(now, |ended| ended.saturating_duration_since(self.began));
        let before = [("decode", decode), ("preprocess", preprocess)];
        let stages = if decode_wait.is_zero() {
            // Workers decode after queueing.
            [("queue", queue), before[0], before[1], ("inference", inference)]
        } else {
            [before[0], before[1], ("queue", queue), ("inference", inference)]
        };
        for (name, took) in stages.into_iter().rev().filter(|(_, took)| !took.is_zero()) {
            let start = end.saturating_sub(took);
            let mut child = self.child(name, start..end);
            if name == "inference" {
                child.attributes.push(spans::images_attribute(batch_size));
                child.links.links.extend(batch.map(link));
            }
            self.traces.send(child);
            end = start;
        }
        if !decode_wait.is_zero() {
            let times = end.saturating_sub(decode_wait)..end;
            self.traces.send(self.child("decode-wait", times));
        }
    }

    fn child(&self, name: &'static str, times: Range<Duration>) -> SpanData {
        let context = SpanContext::new(
            self.context.trace_id(),
            self.traces.span_id(),
            self.context.trace_flags(),
            false,
            self.context.trace_state().clone(),
        );
        SpanData { span_context: context, ..self.span(name.into(), times, Vec::new()) }
    }

    /// A child span, with times relative to the beginning of the request.
    fn span(
        &self,
        name: Cow<'static, str>,
        times: Range<Duration>,
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        SpanData {
            parent_span_id: self.context.span_id(),
            attributes,
            ..self.traces.span(name, self.began_at + times.start, self.began_at + times.end)
        }
    }
}

/// A link to the span of a batch.
fn link(SpanIds { trace, span }: SpanIds) -> Link {
    let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
    Link::with_context(SpanContext::new(trace, span, flags, false, state))
}
