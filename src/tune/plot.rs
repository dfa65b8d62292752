//! Images per second by candidate as an SVG: a bar for the median, and a line from the lowest to the highest
//! round.

use std::fmt::Write;

use super::Race;
use crate::svg::page;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 690.0;
const ROW: f64 = 22.0;
const TOP: f64 = 48.0;
const STYLE: &str = ".bar{fill:#06c}.gone{fill:#9ab}line{stroke:#c40;stroke-width:2}\
    @media(prefers-color-scheme:dark){.bar{fill:#48f}.gone{fill:#456}}";

/// A plot of the standings of `race`, best first, with `title` above.
#[must_use]
pub fn svg(race: &Race, title: &str) -> String {
    let ranking: Vec<_> =
        race.ranking().into_iter().filter(|standing| !standing.trials.is_empty()).collect();
    let highest = ranking.iter().map(|standing| standing.rates()[2]).fold(1e-9, f64::max);
    let x = |rate: f64| LEFT + (RIGHT - LEFT) * rate / highest;
    #[expect(clippy::cast_precision_loss, reason = "a few dozen rows")]
    let height = TOP + ROW * ranking.len() as f64 + 20.0;
    let mut rows = String::new();
    let mut y = TOP;
    for standing in ranking {
        let [median, low, high] = standing.rates();
        let candidate = standing.candidate;
        let class = if standing.running { "bar" } else { "gone" };
        let (end, text) = (x(median) - LEFT, y + 14.0);
        let middle = y + ROW / 2.0 - 2.0;
        let _ = writeln!(
            rows,
            "<text x=\"16\" y=\"{text:.1}\">{}, {} × {} threads, batches to {}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{end:.1}\" height=\"{:.1}\"/>\
             <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\
             <text x=\"{:.1}\" y=\"{text:.1}\">{median:.1}/s</text>",
            candidate.precision,
            candidate.sessions,
            candidate.threads,
            candidate.max_batch,
            ROW - 4.0,
            x(low),
            x(high),
            RIGHT + 8.0,
        );
        y += ROW;
    }
    page([WIDTH, height], title, STYLE, &rows)
}
