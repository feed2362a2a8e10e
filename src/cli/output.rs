//! Where commands print: format, colour, and quiet ends of pipes.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use super::error::CliError;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned, coloured on a terminal.
    Text,
    /// For programs.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The one way to standard output and error.
#[derive(Debug, Clone)]
pub struct Output {
    /// The chosen format.
    pub format: Format,
    /// Whether to colour standard output.
    pub color: bool,
    /// Whether to colour standard error.
    pub color_errors: bool,
}

/// A colour by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// Allowed, fine.
    Good,
    /// Denied, failed.
    Bad,
    /// Look here.
    Warn,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

impl Output {
    /// From the global flags and the environment.
    pub fn new(color: ColorChoice, format: Format) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let pick = |terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !plain,
        };
        Self {
            format,
            color: pick(io::stdout().is_terminal()),
            color_errors: pick(io::stderr().is_terminal()),
        }
    }

    /// Text in a colour, where colour is on.
    pub fn tint(&self, tint: Tint, text: &str) -> String {
        paint(self.color, tint, text)
    }

    /// Prints text as it is to standard output.
    ///
    /// # Errors
    /// When standard output fails; a closed pipe ends the program quietly instead.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        self.print_bytes(text.as_bytes())
    }

    /// Prints a line to standard output.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub fn line(&self, text: &str) -> Result<(), CliError> {
        self.print(&format!("{text}\n"))
    }

    /// Prints bytes to standard output.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // The reader of the pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(CliError::outside(format!("standard output cannot be written: {error}"), "")),
        }
    }

    /// Prints a value as indented JSON and a line feed.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub fn json(&self, value: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::outside(format!("cannot be printed as JSON: {error}"), ""))?;
        self.line(&text)
    }

    /// Shows how far something is on standard error, in the place of what was shown before; an empty
    /// text takes it away. For terminals only.
    pub fn progress(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r\u{1b}[2K{text}").and_then(|()| stderr.flush());
    }

    /// Prints a note to standard error.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints an error to standard error: what, where, and what to do.
    pub fn error(&self, error: &CliError) {
        self.note(&format!("{} {error}", paint(self.color_errors, Tint::Bad, "error:")));
        if let Some(help) = error.help() {
            self.note(&format!("  {} {help}", paint(self.color_errors, Tint::Strong, "help:")));
        }
    }
}

/// Text in a colour, where colour is on.
pub(super) fn paint(on: bool, colour: Tint, text: &str) -> String {
    let (before, after) = tint(on, colour);
    format!("{before}{text}{after}")
}

/// What stands before and after text in a colour; nothing where colour is off.
pub(super) fn tint(on: bool, colour: Tint) -> (&'static str, &'static str) {
    if !on {
        return ("", "");
    }
    let before = match colour {
        Tint::Good => "\u{1b}[32m",
        Tint::Bad => "\u{1b}[31;1m",
        Tint::Warn => "\u{1b}[33m",
        Tint::Dim => "\u{1b}[2m",
        Tint::Strong => "\u{1b}[1m",
    };
    (before, "\u{1b}[0m")
}
