//! The command line: one file a command. The only place that prints errors and sets exit codes.

mod approvals;
mod args;
mod bar;
mod check;
mod counters;
mod demo;
mod error;
mod explain;
mod freeze;
mod gateway;
mod generate;
mod grant;
mod init;
mod journals;
pub mod output;
mod pin;
mod replay;
mod source;
mod status;
mod suggest;
mod survey;
mod tail;
mod test;
mod tools;
#[cfg(feature = "tui")]
mod tui;
mod wrap;

use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use crate::export;
use crate::policy::suggest::closest;
use crate::visible::visible;
use args::FormatArg;
pub use args::{Cli, Command};
pub use error::CliError;
pub use output::Output;
use output::{ColorChoice, Format};

/// What a command answers: the exit code for "done" or "the answer is no".
pub type Answer = Result<Verdict, CliError>;

/// Whether the answer was yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done (exit code 0).
    Yes,
    /// The answer is no (exit code 1).
    No,
    /// Another program's own exit code.
    Code(u8),
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            Output::new(ColorChoice::Auto, Format::Text).error(&error);
            return ExitCode::from(error.exit_code());
        }
    };
    let format = if cli.format == FormatArg::Json { Format::Json } else { Format::Text };
    let out = Output::new(cli.color, format);
    match run(cli, &out) {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Ok(Verdict::Code(code)) => ExitCode::from(code),
        Err(error) => {
            out.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Reads the process's arguments. What belongs to the terminal interface may not stand before a
/// command's name; clap's own rule for that would refuse `--format` there too.
fn parse() -> Result<Cli, CliError> {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(mut error) => {
            let first = std::env::args_os().nth(1);
            // The word was taken for a policy's name, so that what follows it is one too many.
            if error.kind() == ErrorKind::UnknownArgument
                && let Some(error) = first.and_then(|word| misspelt(Path::new(&word)))
            {
                return Err(error);
            }
            name_formats(&mut error);
            error.exit()
        }
    };
    if let Some((name, _)) = matches.subcommand() {
        let stray = matches.ids().find(|id| {
            !matches!(id.as_str(), "format" | "color")
                && matches.try_contains_id(id.as_str()).is_ok()
                && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
        });
        if stray.is_some() {
            let message = format!("only `--format` and `--color` may stand before `{name}`");
            Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
    }
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// That a word which should be a policy's name is surely a misspelt command: no file, nothing that a file's
/// name has, and close to a command's name. An editor with an empty policy would be a poor answer.
fn misspelt(word: &Path) -> Option<CliError> {
    let name =
        word.to_str().filter(|name| !name.starts_with('-') && !name.contains(std::path::is_separator))?;
    if word.extension().is_some() || word.exists() {
        return None;
    }
    let command = Cli::command();
    let known = command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name);
    let meant = closest(name, known)?;
    let name = visible(name);
    Some(CliError::usage(
        format!("`{name}` is no command and no file: did you mean `callgate {meant}`?"),
        format!("to make a policy of that name all the same, write `callgate ./{name}`"),
    ))
}

/// Takes from an error about `--format` the choices that the command would refuse.
fn name_formats(error: &mut clap::Error) {
    let of_format = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.starts_with("--format"));
    if error.kind() != ErrorKind::InvalidValue || !of_format {
        return;
    }
    let command = Cli::command();
    let mut words = std::env::args_os().skip(1);
    let named = words.find_map(|word| command.find_subcommand(word).map(clap::Command::get_name));
    let more: &[&str] = match named {
        Some("tail") => &["csv", "cef", "logfmt"],
        Some("test") => &["junit"],
        _ => &[],
    };
    let fitting: Vec<String> = ["text", "json"].iter().chain(more).map(|&name| name.to_owned()).collect();
    if let Some(ContextValue::String(similar)) = error.get(ContextKind::SuggestedValue)
        && !fitting.contains(similar)
    {
        error.remove(ContextKind::SuggestedValue);
    }
    error.insert(ContextKind::ValidValue, ContextValue::Strings(fitting));
}

fn run(cli: Cli, out: &Output) -> Answer {
    let printed = match cli.format {
        FormatArg::Json => test::Printed::Json,
        FormatArg::Junit => test::Printed::Junit,
        FormatArg::Text | FormatArg::Csv | FormatArg::Cef | FormatArg::Logfmt => test::Printed::Text,
    };
    if printed == test::Printed::Junit && !matches!(cli.command, Some(Command::Test(_))) {
        return Err(CliError::usage(
            "only the results of `callgate test` can be printed as `junit`",
            "write `--format text` or `--format json`",
        ));
    }
    let records = match cli.format {
        FormatArg::Csv => Some(export::Format::Csv),
        FormatArg::Cef => Some(export::Format::Cef),
        FormatArg::Logfmt => Some(export::Format::Logfmt),
        FormatArg::Text | FormatArg::Json | FormatArg::Junit => None,
    };
    if records.is_some() && !matches!(cli.command, Some(Command::Tail(_))) {
        return Err(CliError::usage(
            "only `tail` prints `csv`, `cef` and `logfmt`",
            "write `--format text` or `--format json`",
        ));
    }
    match cli.command {
        #[cfg(feature = "tui")]
        None => tui::run(cli.open, out),
        #[cfg(not(feature = "tui"))]
        None => Err(CliError::usage(
            "this build has no terminal interface",
            "name a command; `callgate --help` lists them",
        )),
        Some(Command::Gateway(args)) => gateway::run(*args, out),
        Some(Command::Guard(args)) => gateway::guard(&args),
        Some(Command::Tail(args)) => tail::run(&args, records, out),
        Some(Command::Status(args)) => status::run(args, out),
        Some(Command::Tools(args)) => tools::run(&args, out),
        Some(Command::Init(args)) => init::run(&args, out),
        Some(Command::Check(args)) => check::run(&args, out),
        Some(Command::Explain(args)) => explain::run(args, out),
        Some(Command::Test(args)) => test::run(&args, printed, out),
        Some(Command::Suggest(args)) => suggest::run(&args, out),
        Some(Command::Replay(args)) => replay::run(&args, out),
        Some(Command::Grant(args)) => grant::run(args, out),
        Some(Command::Freeze(args)) => freeze::freeze(args, out),
        Some(Command::Unfreeze(args)) => freeze::unfreeze(&args, out),
        Some(Command::Approvals(args)) => approvals::run(args, out),
        Some(Command::Wrap(args)) => wrap::wrap(&args, out),
        Some(Command::Unwrap(args)) => wrap::unwrap(&args, out),
        Some(Command::Demo(args)) => demo::run(&args, out),
        Some(Command::Completions(args)) => generate::completions(&args, out),
        Some(Command::Man) => generate::man(out),
    }
}
