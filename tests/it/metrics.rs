//! `docs/metrics.md` lists all metrics. `UPDATE=1 cargo test --test it metrics` regenerates it.

use std::fmt::Write;

use resnetd::telemetry::{LoadFailure, Metrics};

const PAGE: &str = "docs/metrics.md";
const BEGIN: &str = "<!-- generated: UPDATE=1 cargo test --test it metrics -->\n";
const END: &str = "<!-- end of the generated part -->\n";

#[test]
fn the_page_lists_every_metric_with_advice() {
    let mut table =
        "| metric | type | labels | meaning | when it rises |\n|---|---|---|---|---|\n".to_owned();
    for metric in Metrics::new().described() {
        let advice = metric.advice.unwrap_or_else(|| panic!("{} has no advice", metric.name));
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (&metric.name, metric.kind, &metric.help);
        writeln!(table, "| `{name}` | {kind} | {} | {help} | {advice} |", labels.join(", "))
            .unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        let mut file = std::fs::File::create(PAGE).unwrap();
        std::io::Write::write_all(&mut file, expected.as_bytes()).unwrap();
    } else {
        assert_eq!(page, expected, "{PAGE} is outdated; {BEGIN}");
    }
}

#[test]
fn the_page_of_alerts_lists_every_reason_of_a_failed_load() {
    let page = std::fs::read_to_string("docs/alerts.md").unwrap();
    for failure in LoadFailure::ALL {
        let row = format!("\n| `{}` | ", failure.slug());
        assert!(page.contains(&row), "docs/alerts.md has no row for {}", failure.slug());
    }
}
