//! `serve --config FILE`: the file's values become the defaults of the options of the same names, so that
//! environment variables and the command line take precedence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Command, Error, FromArgMatches, Id};

use super::{Cli, Command as Subcommand};
use crate::config::ModelTable;

const SUBCOMMAND: &str = "serve";
const OPTION: &str = "config";
/// The option that may be repeated for `serve`, and the name of its tables in the file.
const MODEL: &str = "model";

/// Parses the command line, and the file of `--config`.
///
/// # Errors
///
/// An invalid command line or file, or the text of `--help`; for [`clap::Error::exit`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let several = |option: clap::Arg| option.action(clap::ArgAction::Append);
    let mut command =
        super::command().mut_subcommand(SUBCOMMAND, |serve| serve.mut_arg(MODEL, several));
    let (mut tables, mut in_file) = (Vec::new(), false);
    if let Some(path) = named(&command, &words) {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| wrong(&mut command, &path, &format!("it cannot be read: {error}")))?;
        let mut table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(&mut command, &path, error.message()))?;
        tables = take_tables(&mut table).map_err(|why| wrong(&mut command, &path, &why))?;
        in_file = table.contains_key(MODEL);
        for (name, value) in table {
            command = with_default(command, &name, &value)
                .map_err(|why| wrong(&mut super::command(), &path, &why))?;
        }
    }
    let matches = command.try_get_matches_from(words)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Subcommand::Serve(args), Some((_, serve))) = (&mut cli.command, matches.subcommand()) {
        // The environment variable names the model where nothing else does: the container image always sets it.
        if serve.value_source(MODEL) == Some(ValueSource::CommandLine) || in_file {
            let named = serve.get_many::<String>(MODEL).unwrap_or_default();
            args.named_models = named.cloned().collect();
        }
        args.model_tables = tables;
    }
    Ok(cli)
}

/// The `[[model]]` tables of a configuration file.
///
/// # Errors
///
/// A message if the file is invalid.
pub(super) fn tables(path: &Path) -> Result<Vec<ModelTable>, String> {
    let invalid = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
    take_tables(&mut table).map_err(invalid)
}

/// Removes `[[model]]` tables from `table`; `model = "…"` remains, as an option.
fn take_tables(table: &mut toml::Table) -> Result<Vec<ModelTable>, String> {
    if !table.get(MODEL).is_some_and(toml::Value::is_array) {
        return Ok(Vec::new());
    }
    let tables = table.remove(MODEL).into_iter();
    tables
        .flat_map(|array| if let toml::Value::Array(tables) = array { tables } else { Vec::new() })
        .zip(1..)
        .map(|(table, number)| {
            table.try_into().map_err(|error: toml::de::Error| {
                format!("[[model]] number {number}: {}", error.message())
            })
        })
        .collect()
}

/// The path of `--config`, before other options are validated.
fn named(command: &Command, words: &[OsString]) -> Option<PathBuf> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(words).ok()?;
    let (name, serve) = matches.subcommand()?;
    (name == SUBCOMMAND).then(|| serve.get_one::<PathBuf>(OPTION).cloned()).flatten()
}

fn wrong(command: &mut Command, path: &Path, why: &str) -> Error {
    command.error(ErrorKind::InvalidValue, format!("--config {}: {why}", path.display()))
}

/// Sets `value` as the default of the option `name`.
fn with_default(command: Command, name: &str, value: &toml::Value) -> Result<Command, String> {
    let word = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
            value.to_string()
        }
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => {
            return Err(format!(
                "{name} is {value}; it must be a string, a number, true or false; write several values as one \
                 string, separated by commas"
            ));
        }
    };
    let options: Vec<(&str, &Id)> = command
        .find_subcommand(SUBCOMMAND)
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(|option| option.get_long().map(|long| (long, option.get_id())))
        .filter(|(long, _)| *long != OPTION && *long != "help")
        .collect();
    let Some((_, id)) = options.iter().find(|(long, _)| *long == name) else {
        let known: Vec<_> = options.iter().map(|(long, _)| *long).collect();
        let known = known.join(", ");
        return Err(format!("{name} is not an option of serve; the options are {known}"));
    };
    let id = (*id).clone();
    Ok(command
        .mut_subcommand(SUBCOMMAND, |serve| serve.mut_arg(id, |option| option.default_value(word))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_serve_can_be_in_the_file() {
        let command = super::super::command();
        let serve = command.find_subcommand(SUBCOMMAND).unwrap();
        let names: Vec<_> = serve.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert!(names.contains(&"allow-host"));
        for name in names.into_iter().filter(|name| *name != OPTION) {
            with_default(super::super::command(), name, &toml::Value::String("x".to_owned()))
                .unwrap();
        }
    }
}
