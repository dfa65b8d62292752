//! `docs/configuration.md` lists the options of `resnetd serve`. `UPDATE=1 cargo test --test it
//! configuration` regenerates it.

use std::fmt::Write;

use clap::{Arg, CommandFactory};
use resnetd::cli::Cli;

const PAGE: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- generated: UPDATE=1 cargo test --test it configuration -->\n";
const END: &str = "<!-- end of the generated part -->\n";

#[test]
fn the_page_lists_every_option_of_serve() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{}{END}{after}", tables());
    if std::env::var_os("UPDATE").is_some() {
        let mut file = std::fs::File::create(PAGE).unwrap();
        std::io::Write::write_all(&mut file, expected.as_bytes()).unwrap();
    } else {
        assert_eq!(page, expected, "{PAGE} is outdated; {BEGIN}");
    }
}

/// One table for each heading of the help text.
fn tables() -> String {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").unwrap();
    let mut text = String::new();
    let options = || serve.get_arguments().filter(|option| option.get_id() != "help");
    let mut headings: Vec<Option<&str>> = Vec::new();
    for heading in options().map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let title = heading.unwrap_or("Server");
        write!(text, "## {title}\n\n| option | environment variable | default | meaning |\n|---|---|---|---|\n")
            .unwrap();
        for option in options().filter(|option| option.get_help_heading() == heading) {
            writeln!(text, "{}", row(option)).unwrap();
        }
        text.push('\n');
    }
    text
}

fn row(option: &Arg) -> String {
    let name = option.get_long().unwrap();
    let variable = option.get_env().unwrap_or_else(|| panic!("--{name} has no variable"));
    let variable = variable.to_str().unwrap();
    let help = option.get_long_help().or(option.get_help()).unwrap().to_string();
    let help = help.replace("\n\n[default", " [default").replace("\n\n", ". ");
    // Defaults that depend on the machine are in the help text.
    let (meaning, described) = match help.split_once(" [default: ") {
        Some((meaning, default)) => (meaning, Some(default.trim_end_matches(']'))),
        None => (&*help, None),
    };
    let mut meaning = meaning.to_owned();
    let choices: Vec<String> = option
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if choices.len() > 2 {
        write!(meaning, ": {}", choices.join(", ")).unwrap();
    }
    let values = option.get_default_values(); // no option has several
    let default = match (values.first(), described) {
        (Some(value), _) => format!("`{}`", value.to_str().unwrap()),
        (None, Some(described)) => described.to_owned(),
        (None, None) => "–".to_owned(),
    };
    let placeholder = option.get_value_names().unwrap_or_default().join(" ");
    let cells = [format!("`--{name} {placeholder}`"), format!("`{variable}`"), default, meaning];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
