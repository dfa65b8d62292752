//! Latency by percentile as an SVG, with a logarithmic tail: 90 %, 99 % and 99.9 % are equidistant.

use std::fmt::Write;

use super::LoadResults;
use crate::svg::page;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Left, top, right and bottom of the plot area.
const FIELD: [f64; 4] = [70.0, 44.0, 700.0, 310.0];
const MARKS: [(f64, &str); 5] =
    [(0.0, "0 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
const STYLE: &str = "line{stroke:#ccc}path{fill:none;stroke:#06c;stroke-width:2}\
    @media(prefers-color-scheme:dark){line{stroke:#444}path{stroke:#6bf}}";

/// A plot of the latencies of a run, with `title` above.
#[must_use]
pub fn svg(measured: &LoadResults, title: &str) -> String {
    let [left, top, right, bottom] = FIELD;
    let highest = nice(measured.quantile(1.0));
    let x = |share: f64| left + (right - left) * -(1.0 - share).log10() / 4.0;
    let y = |millis: f64| bottom - (bottom - top) * millis / highest;
    let mut svg = String::new();
    for (share, label) in MARKS {
        let at = x(share);
        let below = bottom + 20.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
        );
    }
    for quarter in 0..=4 {
        let millis = highest * f64::from(quarter) / 4.0;
        let (at, beside) = (y(millis), left - 8.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
             <text x=\"{beside}\" y=\"{:.1}\" text-anchor=\"end\">{millis:.4} ms</text>",
            at + 4.0
        );
    }
    let steps = (0..=400).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 100.0));
    let points = steps.map(|share| format!("{:.1},{:.1}", x(share), y(measured.quantile(share))));
    let _ = writeln!(svg, "<path d=\"M{}\"/>", points.collect::<Vec<_>>().join("L"));
    let (middle, below) = (f64::midpoint(left, right), bottom + 40.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">share of requests answered within \
         this time</text>"
    );
    page([WIDTH, HEIGHT], title, STYLE, &svg)
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(0.001).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|nice| *nice >= value)
        .unwrap_or(1.0)
}
