//! `resnetd completions` and `resnetd man`: shell completions and man pages, generated from the options.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command to describe, such as serve [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,

    /// Write the pages of the program and of all commands into this folder
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "resnetd", &mut script);
    output::bytes(&script)
}

/// Prints a man page, or writes all of them.
pub(super) fn man(args: &ManArgs) -> Result<()> {
    let mut program = super::command();
    if let Some(folder) = &args.output {
        let cannot_write = || format!("cannot write man pages into {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot_write)?;
        return clap_mangen::generate_to(program, folder).with_context(cannot_write);
    }
    program.build(); // sets the full names of commands, such as resnetd-serve
    let described = match &args.command {
        None => &program,
        Some(name) => program.find_subcommand(name).ok_or_else(|| unknown(name, &program))?,
    };
    let mut page = Vec::new();
    Man::new(described.clone()).render(&mut page)?;
    output::bytes(&page)
}

fn unknown(name: &str, program: &Command) -> anyhow::Error {
    let known: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    anyhow!("there is no command {name}; the commands are {}", known.join(", "))
}
