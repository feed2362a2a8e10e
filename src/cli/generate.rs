//! `callgate completions` and `callgate man`: generated from the arguments themselves.

use clap::CommandFactory;

use super::args::CompletionsArgs;
use super::{Answer, Cli, CliError, Output, Verdict};

/// Prints a shell's completions.
pub(super) fn completions(args: &CompletionsArgs, out: &Output) -> Answer {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "callgate", &mut text);
    out.print_bytes(&text)?;
    Ok(Verdict::Yes)
}

/// Prints the manual page.
pub(super) fn man(out: &Output) -> Answer {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| CliError::outside(format!("the manual page cannot be made: {error}"), ""))?;
    out.print_bytes(&text)?;
    Ok(Verdict::Yes)
}
