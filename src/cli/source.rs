//! From a source's arguments to a tool list.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::args::SourceArgs;
use super::output::Format;
use super::{CliError, Output};
use crate::catalog::{self, CatalogError, Failure, Launch, Loaded, Source};
use crate::visible::visible;

/// What to do when no source is named.
const NAME_ONE: &str = "name one: `-- CMD ARG...`, `--url URL`, `--tools FILE` or `--client NAME`";

/// The source that the arguments name, if they name one.
///
/// # Errors
/// When a header is not of the form `NAME: VALUE`.
pub(super) fn source(args: &SourceArgs) -> Result<Option<Source>, CliError> {
    if let Some(url) = &args.url {
        let headers = args
            .headers
            .iter()
            .map(|header| match header.split_once(':') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err(CliError::usage(
                    "a `--header` has no colon",
                    "write `--header 'Authorization: Bearer ${TOKEN}'`",
                )),
            })
            .collect::<Result<_, _>>()?;
        return Ok(Some(Source::Url { url: url.clone(), headers }));
    }
    if let Some(path) = &args.tools {
        return Ok(Some(Source::File(path.clone())));
    }
    if let Some(client) = &args.client {
        return Ok(Some(Source::Client { client: client.clone(), server: args.server.clone() }));
    }
    if !args.command.is_empty() {
        return Ok(Some(Source::Command(args.command.clone())));
    }
    Ok(None)
}

/// Loads the tools of the source that the arguments name. Shows what is waited for on a terminal;
/// an interrupt ends the server before it ends this program.
///
/// # Errors
/// When no source is named, or it gives no list.
pub(super) fn load(args: &SourceArgs, timeout: u64, out: &Output) -> Result<Loaded, CliError> {
    let source = source(args)?.ok_or_else(|| CliError::usage("no source of tools is named", NAME_ONE))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first sets the flag, so that the child is ended; a second one does what it always did.
        let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop));
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    let notice = Waiting::show(&source, out);
    let answer = catalog::load_until(&source, Duration::from_secs(timeout.max(1)), &stop);
    drop(notice);
    let interrupted = matches!(&answer, Err(error) if error.failure == Failure::Interrupted);
    // From here on an interrupt ends the program again.
    stop.store(true, Ordering::Relaxed);
    if interrupted {
        let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
    }
    let loaded = answer.map_err(|error| to_cli(&error))?;
    for server in &loaded.servers {
        if let (Some(note), Some(Launch::Stdio(stdio))) = (&server.note, &server.launch) {
            out.note(&format!("note: {note}:\n  {}", shell_words(&stdio.command)));
        }
    }
    for server in &loaded.servers {
        let many = server.tools.iter().filter(|tool| tool.stands_for_others()).count();
        if many > 0 {
            out.note(&format!(
                "note: {many} of the {} tools of `{}` stand for others, which an argument of theirs names: conditions \
                 on that argument tell them apart. If the server can list each one itself (`@azure/mcp` does with \
                 `--mode all`), start it so here and behind the gateway",
                server.tools.len(),
                visible(&server.name),
            ));
        }
    }
    for (name, error) in &loaded.failed {
        out.note(&format!("warning: server `{}` gave no list: {error}", visible(name)));
        if let Some(help) = &error.help {
            out.note(&format!("  help: {help}"));
        }
    }
    Ok(loaded)
}

/// An error of the catalog as the command line reports it.
pub(super) fn to_cli(error: &CatalogError) -> CliError {
    let help = error.help.clone().unwrap_or_default();
    match error.failure {
        Failure::Usage => CliError::usage(error.to_string(), help),
        Failure::File | Failure::Server | Failure::Credentials | Failure::Interrupted => {
            CliError::outside(error.to_string(), help)
        }
    }
}

/// A line on a terminal that says what is waited for, and goes away.
struct Waiting(bool);

impl Waiting {
    fn show(source: &Source, out: &Output) -> Self {
        let waits = !matches!(source, Source::File(_));
        let show = waits && out.format == Format::Text && std::io::stderr().is_terminal();
        if show {
            let what = match source {
                Source::Command(command) => catalog::server_name(command),
                Source::Url { url, .. } => catalog::address(url),
                Source::Client { client, .. } => format!("the servers of {client}"),
                Source::File(_) => String::new(),
            };
            let what: String = visible(&what).chars().take(50).collect();
            let _ = write!(std::io::stderr(), "asking {what} for its tools ...");
        }
        Self(show)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
        }
    }
}

/// A command line that a POSIX shell reads back as these words.
pub(super) fn shell_words(words: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    visible(&quoted.collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_a_source() {
        let args = SourceArgs {
            url: Some("https://h.example/mcp".to_owned()),
            headers: vec!["Authorization: Bearer a:b".to_owned()],
            ..SourceArgs::default()
        };
        let Ok(Some(Source::Url { headers, .. })) = source(&args) else { panic!("an address") };
        assert_eq!(headers, [("Authorization".to_owned(), "Bearer a:b".to_owned())]);
        let args = SourceArgs { headers: vec!["no colon".to_owned()], ..args };
        assert_eq!(source(&args).expect_err("no colon").exit_code(), 2);
        assert_eq!(source(&SourceArgs::default()), Ok(None));
    }

    #[test]
    fn command_lines_can_be_pasted() {
        let words = ["npx", "-y", "@a/b", "it's", "", "a b", "$X"].map(str::to_owned);
        assert_eq!(shell_words(&words), r"npx -y @a/b 'it'\''s' '' 'a b' '$X'");
    }
}
