//! `resnetd describe`: an architecture's layers, parameters and multiply-adds, or a model.

mod model;

use anyhow::Result;
use clap::Args;

use super::output;
use crate::config::HubArgs;
use crate::graph::{Architecture, Network, NetworkDescription, arch};
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// An architecture; or a model: the name of an embedded model, a folder, a file or a hub id, as
    /// for `resnetd serve` [default: list all architectures]
    #[arg(value_name = "ARCH|NAME|PATH|ID")]
    what: Option<String>,

    /// Architecture of a model's weights, where it cannot be detected
    #[arg(long, value_name = "ARCH", requires = "what")]
    arch: Option<String>,

    /// Number of classes of an architecture [default: that of its original dataset]
    #[arg(long, value_name = "N", requires = "what")]
    classes: Option<usize>,

    /// Print one line per stage, as in Table 1 of the paper, instead of one per layer
    #[arg(long, requires = "what")]
    stages: bool,

    #[command(flatten)]
    hub: HubArgs,
}

pub(super) fn run(args: &DescribeArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let Some(what) = &args.what else {
        list();
        return Ok(());
    };
    match arch::find(what) {
        Ok(row) => {
            layers(row, args.classes.unwrap_or(row.classes), args);
            Ok(())
        }
        Err(_) if model::is_model(what) => model::describe(what, args),
        Err(error) => Err(error.into()),
    }
}

fn list() {
    let mut table =
        output::table(&["architecture", "input", "classes", "parameters", "multiply-adds"]);
    for row in arch::all() {
        let NetworkDescription { parameters, multiply_adds, .. } =
            Network::expand(row, row.classes).describe(row.input);
        let [height, width] = row.input;
        table.add_row([
            row.name.to_owned(),
            format!("{height}×{width}"),
            row.classes.to_string(),
            thousands(parameters),
            thousands(multiply_adds),
        ]);
    }
    output::show(&table);
}

fn layers(row: &Architecture, classes: usize, args: &DescribeArgs) {
    let description = Network::expand(row, classes).describe(row.input);
    let header = ["stage", "layer", "", "output", "parameters", "multiply-adds"];
    let mut table = output::table(&header);
    if args.stages {
        for stage in &description.stages {
            let name = stage.stage.to_string();
            table.add_row(cells(
                [name, String::new(), String::new()],
                stage.output,
                [stage.parameters, stage.multiply_adds],
            ));
        }
    } else {
        for layer in &description.rows {
            let words = [layer.stage.to_string(), layer.name.clone(), layer.kind.clone()];
            table.add_row(cells(words, layer.output, [layer.parameters, layer.multiply_adds]));
        }
    }
    output::show(&table);
    output::line(format!(
        "\n{}: {} parameters, {} multiply-adds for one image of {}×{}",
        row.name,
        thousands(description.parameters),
        thousands(description.multiply_adds),
        row.input[0],
        row.input[1],
    ));
}

fn cells(
    words: [String; 3],
    [channels, height, width]: [usize; 3],
    counts: [u64; 2],
) -> Vec<String> {
    let size = format!("{channels} × {height}×{width}");
    let counts = counts.map(|count| if count == 0 { String::new() } else { thousands(count) });
    words.into_iter().chain([size]).chain(counts).collect()
}

/// 25557032 becomes 25,557,032.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (25_557_032, "25,557,032")]
        {
            assert_eq!(super::thousands(number), text);
        }
    }
}
