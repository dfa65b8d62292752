//! `serve --config FILE`: the file's values become the defaults of the options of the same names,
//! so that environment variables and the command line take precedence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Error, FromArgMatches};

use super::Cli;

const SUBCOMMAND: &str = "serve";
const OPTION: &str = "config";

/// Reads the command line, and the file that it names.
///
/// # Errors
///
/// What is wrong with either, or the text of `--help`, for [`clap::Error::exit`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let mut command = Cli::command();
    if let Some(path) = named(&command, &words) {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| wrong(&mut command, &path, &format!("it cannot be read: {error}")))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(&mut command, &path, error.message()))?;
        for (name, value) in table {
            command = with_default(command, (&name, &value))
                .map_err(|why| wrong(&mut Cli::command(), &path, &why))?;
        }
    }
    let matches = command.try_get_matches_from(words)?;
    Cli::from_arg_matches(&matches)
}

/// The path given with `--config`, before anything else is checked.
fn named(command: &Command, words: &[OsString]) -> Option<PathBuf> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(words).ok()?;
    let (name, serve) = matches.subcommand()?;
    (name == SUBCOMMAND).then(|| serve.get_one::<PathBuf>(OPTION).cloned()).flatten()
}

fn wrong(command: &mut Command, path: &Path, why: &str) -> Error {
    command.error(ErrorKind::InvalidValue, format!("--config {}: {why}", path.display()))
}

/// `command`, with `value` as the default of the option `name`.
fn with_default(command: Command, (name, value): (&str, &toml::Value)) -> Result<Command, String> {
    let word = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
            value.to_string()
        }
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => {
            return Err(format!("{name} is {value}; it must be a string or a number"));
        }
    };
    let options: Vec<String> = command
        .find_subcommand(SUBCOMMAND)
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(|option| option.get_long().map(str::to_owned))
        .filter(|option| option != OPTION && option != "help")
        .collect();
    if !options.iter().any(|option| option == name) {
        let known = options.join(", ");
        return Err(format!("{name} is not an option of serve; the options are {known}"));
    }
    let id = name.replace('-', "_");
    Ok(command
        .mut_subcommand(SUBCOMMAND, |serve| serve.mut_arg(id, |option| option.default_value(word))))
}
