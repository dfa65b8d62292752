//! The OpenMetrics text format 1.0, which has exemplars; the prometheus crate supports only the older format.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::TraceId;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Media type of the format, with the version.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An exemplar: a traced request that was counted in a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// Its trace.
    pub trace: TraceId,
    /// The observed value.
    pub value: f64,
    /// Time of the observation.
    pub at: SystemTime,
}

/// Writes `families`. `exemplar` returns the exemplar of a bucket, given the metric's name, its labels and
/// the bucket's index.
pub fn encode(
    families: &[MetricFamily],
    exemplar: impl Fn(&str, &[LabelPair], usize) -> Option<Exemplar>,
) -> String {
    let mut text = String::new();
    for family in families {
        let found = |metric: &Metric, bucket| exemplar(family.name(), metric.get_label(), bucket);
        // Writing to memory does not fail.
        let _ = write_family(&mut text, family, found);
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(
    to: &mut String,
    family: &MetricFamily,
    exemplar: impl Fn(&Metric, usize) -> Option<Exemplar>,
) -> fmt::Result {
    let kind = family.get_field_type();
    // In OpenMetrics, a counter's name has no suffix; only its samples have one.
    let (name, word) = match kind {
        MetricType::COUNTER => (family.name().trim_end_matches("_total"), "counter"),
        MetricType::GAUGE => (family.name(), "gauge"),
        MetricType::HISTOGRAM => (family.name(), "histogram"),
        MetricType::SUMMARY | MetricType::UNTYPED => return Ok(()), // resnetd has none
    };
    writeln!(to, "# HELP {name} {}", Escaped(family.help()))?;
    writeln!(to, "# TYPE {name} {word}")?;
    for metric in family.get_metric() {
        match kind {
            MetricType::COUNTER => {
                sample(to, &format!("{name}_total"), metric, metric.get_counter().get_value())?;
            }
            MetricType::HISTOGRAM => {
                write_buckets(to, name, metric, |bucket| exemplar(metric, bucket))?;
            }
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                sample(to, name, metric, metric.get_gauge().get_value())?;
            }
        }
    }
    Ok(())
}

fn write_buckets(
    to: &mut String,
    name: &str,
    metric: &Metric,
    exemplar: impl Fn(usize) -> Option<Exemplar>,
) -> fmt::Result {
    let histogram = metric.get_histogram();
    let bounded = histogram.get_bucket().iter();
    let bounded = bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let last = (f64::INFINITY, histogram.get_sample_count());
    for (number, (bound, count)) in bounded.chain([last]).enumerate() {
        let labels = LabelSet { pairs: metric.get_label(), bound: Some(bound) };
        write!(to, "{name}_bucket{labels} {count}")?;
        if let Some(Exemplar { trace, value, at }) = exemplar(number) {
            let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            write!(to, " # {{trace_id=\"{trace}\"}} {value} {seconds:.3}")?;
        }
        to.push('\n');
    }
    let labels = LabelSet { pairs: metric.get_label(), bound: None };
    writeln!(to, "{name}_count{labels} {}", histogram.get_sample_count())?;
    writeln!(to, "{name}_sum{labels} {}", histogram.get_sample_sum())
}

fn sample(to: &mut String, name: &str, metric: &Metric, value: f64) -> fmt::Result {
    let labels = LabelSet { pairs: metric.get_label(), bound: None };
    writeln!(to, "{name}{labels} {value}")
}

/// Labels in braces, with `le` for a bucket; empty if there are none.
struct LabelSet<'a> {
    pairs: &'a [LabelPair],
    bound: Option<f64>,
}

impl fmt::Display for LabelSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '{';
        for pair in self.pairs {
            write!(f, "{separator}{}=\"{}\"", pair.name(), Escaped(pair.value()))?;
            separator = ',';
        }
        match self.bound {
            None if separator == '{' => return Ok(()),
            None => {}
            Some(f64::INFINITY) => write!(f, "{separator}le=\"+Inf\"")?,
            // With a decimal point, even for integers.
            Some(bound) => write!(f, "{separator}le=\"{bound:?}\"")?,
        }
        f.write_char('}')
    }
}

/// Text with escaped line breaks, quotes and backslashes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry};

    use super::*;

    #[test]
    fn every_kind_is_written_as_specified() {
        let registry = Registry::new();
        let counter = IntCounter::new("a_total", "Counts \"a\"").unwrap();
        let gauge = IntGauge::new("b", "Goes\nup and down").unwrap();
        let opts = HistogramOpts::new("c_seconds", "Times").buckets(vec![0.5, 1.0]);
        let histogram = HistogramVec::new(opts, &["name"]).unwrap();
        counter.inc_by(3);
        gauge.set(-2);
        histogram.with_label_values(&["x\\\"y"]).observe(0.75);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        let seen = Exemplar {
            trace: TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
            value: 0.75,
            at: UNIX_EPOCH + std::time::Duration::from_millis(1500),
        };
        let text = encode(&registry.gather(), |name, labels, bucket| {
            assert_eq!((name, labels[0].value()), ("c_seconds", "x\\\"y"));
            (bucket == 1).then_some(seen)
        });
        assert_eq!(
            text,
            r#"# HELP a Counts \"a\"
# TYPE a counter
a_total 3
# HELP b Goes\nup and down
# TYPE b gauge
b -2
# HELP c_seconds Times
# TYPE c_seconds histogram
c_seconds_bucket{name="x\\\"y",le="0.5"} 0
c_seconds_bucket{name="x\\\"y",le="1.0"} 1 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.75 1.500
c_seconds_bucket{name="x\\\"y",le="+Inf"} 1
c_seconds_count{name="x\\\"y"} 1
c_seconds_sum{name="x\\\"y"} 0.75
# EOF
"#
        );
    }
}
