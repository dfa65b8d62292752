//! `resnetd describe`: a network's layers, parameters and multiply-adds.

use anyhow::Result;
use clap::Args;

use super::output;
use crate::graph::{Architecture, Description, Network, arch};

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// Architecture to describe [default: list all architectures]
    #[arg(value_name = "ARCH")]
    arch: Option<String>,

    /// Number of classes [default: that of the architecture's original dataset]
    #[arg(long, value_name = "N", requires = "arch")]
    classes: Option<usize>,

    /// Print one line per stage, as in Table 1 of the paper, instead of one per layer
    #[arg(long, requires = "arch")]
    stages: bool,
}

pub(super) fn run(args: &DescribeArgs) -> Result<()> {
    match &args.arch {
        None => list(),
        Some(name) => layers(arch::find(name)?, args),
    }
    Ok(())
}

fn list() {
    let mut table =
        output::table(&["architecture", "input", "classes", "parameters", "multiply-adds"]);
    for row in arch::ARCHITECTURES {
        let Description { parameters, multiply_adds, .. } =
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

fn layers(row: &Architecture, args: &DescribeArgs) {
    let classes = args.classes.unwrap_or(row.classes);
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

/// 25557032 as 25,557,032.
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
