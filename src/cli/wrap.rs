//! `callgate wrap` and `callgate unwrap`: the gateway in a client's own configuration.

mod masked;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::masked::{MASK, masked};
use super::args::{EntryArgs, SourceArgs, UnwrapArgs, WrapArgs};
use super::freeze::{ask, paths};
use super::init::{describe, not_written, policies_folder, starting_policy};
use super::output::{Format, Tint};
use super::source::{self, shell_words};
use super::{Answer, CliError, Output, Verdict};
use crate::catalog::clients::kept::Kept;
use crate::catalog::clients::{self, Configured, Env, edit};
use crate::catalog::{Launch, address};
use crate::clock;
use crate::paths::{Existing, Paths, write_whole};
use crate::policy::diff::{DiffKind, diff};
use crate::policy::document::Document;
use crate::visible::visible;

/// The port that is proposed for a gateway in front of a server at an address.
const LISTEN: &str = "127.0.0.1:4711";

/// What became of one server, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Done {
    client: &'static str,
    server: String,
    file: PathBuf,
    did: Did,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PathBuf>,
    /// Of what was taken out: whether the entry is byte for byte what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Did {
    Wrapped,
    WouldWrap,
    Unwrapped,
    WouldUnwrap,
    Nothing,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Report {
    servers: Vec<Done>,
}

/// Runs `wrap`.
pub(super) fn wrap(args: &WrapArgs, out: &Output) -> Answer {
    let env = env()?;
    let paths = paths()?;
    let program = program()?;
    let (todo, mut report) = sort_out(&args.entry, &env, true, out)?;
    if !may(&args.entry, &todo, "Put the gateway in front of", out)? {
        return Ok(Verdict::No);
    }
    for configured in &todo {
        let policy = args.policy.clone().unwrap_or_else(|| paths.policy_of(&configured.server));
        let policy = std::path::absolute(&policy).unwrap_or(policy);
        let words = words(configured, &policy)?;
        let change = |text: &str| {
            edit::wrap(&configured.file, text, &configured.at, &program, &words).map_err(|why| {
                let paste = edit::to_paste(&configured.file, text, &configured.at, &program, &words);
                let help = paste.map(|paste| {
                    let shown = masked(&paste);
                    let stays = if shown == paste {
                        String::new()
                    } else {
                        format!(" (for `{MASK}`, the secret that stands there now)")
                    };
                    format!(
                        "edit it yourself; server `{}` needs{stays}\n{}",
                        visible(&configured.server),
                        visible_lines(&shown)
                    )
                });
                CliError::no(format!("`{}` {why}", configured.file.display()), help.unwrap_or_default())
            })
        };
        let text = read(&configured.file)?;
        // Whether it can be done is known before a policy is made or a server is started.
        let planned = change(&text)?;
        let mut done = done(configured, Did::WouldWrap);
        done.policy = Some(policy.clone());
        if args.entry.dry_run {
            show_diff(&configured.file, &text, &planned.text, out)?;
            if !policy.exists() {
                out.note(&format!("`{}` would be made from the server's tools", policy.display()));
            }
            report.push(done);
            continue;
        }
        make_policy(configured, &policy, args, &paths, out)?;
        let file = std::fs::canonicalize(&configured.file).unwrap_or_else(|_| configured.file.clone());
        let text = read(&configured.file)?;
        let wrapped = change(&text)?;
        let kept = Kept {
            client: configured.client.to_owned(),
            file,
            at: configured.at.clone(),
            policy: policy.clone(),
            before: wrapped.before,
            after: wrapped.after,
            ts: clock::now(),
        };
        kept.save(&paths.state).map_err(|error| {
            CliError::outside(
                format!("what `{}` says cannot be kept: {error}", configured.file.display()),
                "nothing was changed",
            )
        })?;
        replace(&configured.file, &text, &wrapped.text)?;
        done.did = Did::Wrapped;
        report.push(done);
        if out.format == Format::Text {
            let server = visible(&configured.server);
            out.line(&format!(
                "{} `{server}` of {}, in `{}`",
                out.tint(Tint::Good, "wrapped"),
                configured.client_title(),
                configured.file.display()
            ))?;
            let names = shell_words(&[configured.client.to_owned(), configured.server.clone()]);
            let policy = shell_words(&[policy.display().to_string()]);
            out.note(&format!("  its policy:   callgate {policy}"));
            out.note(&format!("  take it out:  callgate unwrap {names}"));
        }
    }
    let changed = report.iter().any(|done| done.did == Did::Wrapped);
    finish(report, out)?;
    if changed && out.format == Format::Text {
        out.note("restart the client, so that it starts the gateway");
        for name in ["CALLGATE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            if std::env::var_os(name).is_some() {
                out.note(&format!("warning: {name} is set here; where the client does not have it, its gateways keep their state elsewhere"));
            }
        }
    }
    Ok(Verdict::Yes)
}

/// What goes before the server's own command line.
fn words(configured: &Configured, policy: &Path) -> Result<Vec<String>, CliError> {
    let mut words =
        ["gateway", "--policy", &utf8(policy)?, "--name", &configured.server].map(str::to_owned).to_vec();
    // Some clients eat a separator or choke on it, and the gateway needs none before a program's name.
    if matches!(&configured.launch, Launch::Stdio(stdio) if stdio.command.first().is_some_and(|word| word.starts_with('-')))
    {
        words.push("--".to_owned());
    }
    Ok(words)
}

/// Runs `unwrap`.
pub(super) fn unwrap(args: &UnwrapArgs, out: &Output) -> Answer {
    let env = env()?;
    let paths = paths()?;
    let (todo, mut report) = sort_out(&args.entry, &env, false, out)?;
    if !may(&args.entry, &todo, "Take the gateway away from", out)? {
        return Ok(Verdict::No);
    }
    for configured in &todo {
        let file = std::fs::canonicalize(&configured.file).unwrap_or_else(|_| configured.file.clone());
        let kept = Kept::load(&paths.state, &file, &configured.at).map_err(|error| {
            CliError::outside(
                format!("what was kept of `{}` cannot be read: {error}", configured.file.display()),
                "",
            )
        })?;
        let text = read(&configured.file)?;
        let spelt = kept.as_ref().map(|kept| (kept.before.as_str(), kept.after.as_str()));
        let unwrapped = edit::unwrap(&configured.file, &text, &configured.at, spelt)
            .map_err(|why| CliError::no(format!("`{}` {why}", configured.file.display()), ""))?;
        let mut done = done(configured, Did::WouldUnwrap);
        done.exact = Some(unwrapped.exact);
        if args.entry.dry_run {
            show_diff(&configured.file, &text, &unwrapped.text, out)?;
            report.push(done);
            continue;
        }
        replace(&configured.file, &text, &unwrapped.text)?;
        if let Some(kept) = &kept {
            kept.forget(&paths.state).map_err(|error| {
                CliError::outside(format!("what was kept for `unwrap` cannot be removed: {error}"), "")
            })?;
        }
        done.did = Did::Unwrapped;
        report.push(done);
        if out.format == Format::Text {
            out.line(&format!(
                "{} `{}` of {}, in `{}`",
                out.tint(Tint::Good, "unwrapped"),
                visible(&configured.server),
                configured.client_title(),
                configured.file.display()
            ))?;
            out.note(match (unwrapped.exact, &kept) {
                (true, _) => "  the entry is byte for byte what it was",
                (false, Some(_)) => {
                    "  the entry was changed since: the gateway's own words were taken out, and the changes stay"
                }
                (false, None) => "  nothing is kept of how it was spelt: the gateway's own words were taken out",
            });
            if let Some(kept) = &kept {
                out.note(&format!("  its policy stays at `{}`", kept.policy.display()));
            }
        }
    }
    finish(report, out)?;
    Ok(Verdict::Yes)
}

/// The servers to do something about, and what is said of the others.
fn sort_out(
    args: &EntryArgs,
    env: &Env,
    wrapping: bool,
    out: &Output,
) -> Result<(Vec<Configured>, Vec<Done>), CliError> {
    let found = match &args.server {
        Some(server) => clients::server(&args.client, server, env).map(|server| vec![server]),
        None => clients::servers(&args.client, env),
    };
    let all = found.map_err(|mut error| {
        let help = if wrapping {
            "`callgate wrap` changes what the client has configured: add the server there first"
        } else {
            "so there is nothing to take the gateway out of"
        };
        error.help.get_or_insert_with(|| help.to_owned());
        source::to_cli(&error)
    })?;
    let (mut todo, mut report) = (Vec::new(), Vec::new());
    for configured in all {
        let server = visible(&configured.server).into_owned();
        let note = if configured.guarded != wrapping {
            match (&configured.launch, args.server.is_some()) {
                (Launch::Http(http), named) if wrapping => {
                    let (why, help) = by_address(&configured, &http.url);
                    if named {
                        return Err(CliError::no(why, help));
                    }
                    Some((Did::Skipped, why))
                }
                (_, false) if configured.disabled => {
                    Some((Did::Skipped, format!("`{server}` is switched off in the client's configuration")))
                }
                _ => None,
            }
        } else if wrapping {
            Some((Did::Nothing, format!("callgate stands in front of `{server}` already")))
        } else {
            Some((Did::Nothing, format!("callgate does not stand in front of `{server}`")))
        };
        match note {
            None => todo.push(configured),
            Some((did, why)) => {
                out.note(&why);
                report.push(done(&configured, did));
            }
        }
    }
    Ok((todo, report))
}

/// Why a server at an address is not wrapped, and what to do instead: a gateway over HTTP has to run by itself,
/// and its token is for the client's configuration, which is for the person to write.
fn by_address(configured: &Configured, url: &str) -> (String, String) {
    let server = visible(&configured.server).into_owned();
    let why = format!("`{server}` is a server at an address, and no client starts a gateway for those");
    let url = shell_words(&[address(url)]);
    let name = shell_words(std::slice::from_ref(&configured.server));
    let help = format!(
        "start one yourself, and give the client its address and token:\n    \
         callgate gateway --policy FILE --name {name} --listen {LISTEN} --upstream {url}\n    \
         (`--header 'NAME: ${{VARIABLE}}'` for each header; the client's address becomes http://{LISTEN}/mcp)"
    );
    (why, help)
}

/// Whether to go on: servers that nobody named are asked about, at a terminal only.
fn may(args: &EntryArgs, todo: &[Configured], what: &str, out: &Output) -> Result<bool, CliError> {
    if args.server.is_some() || args.yes || args.dry_run || todo.is_empty() {
        return Ok(true);
    }
    for configured in todo {
        out.note(&format!("  {}  {}", visible(&configured.server), configured.file.display()));
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(CliError::usage(
            "no server is named, and nobody is here to ask",
            "name one, or add `--yes` for all of them",
        ));
    }
    let yes = ask(&format!(
        "{what} these servers of {}? [y/N] ",
        todo.first().map_or("", Configured::client_title)
    ));
    if !yes {
        out.note("nothing was changed");
    }
    Ok(yes)
}

/// A policy for the server, where there is none yet.
fn make_policy(
    configured: &Configured,
    policy: &Path,
    args: &WrapArgs,
    paths: &Paths,
    out: &Output,
) -> Result<(), CliError> {
    match std::fs::read(policy) {
        Ok(bytes) => {
            let parsed = Document::parse_bytes(&bytes);
            if parsed.document.is_some_and(|document| document.is_valid()) {
                out.note(&format!("`{}` is there already and is used", policy.display()));
                return Ok(());
            }
            let first =
                parsed.diagnostics.first().map(|found| format!(": {}", found.message)).unwrap_or_default();
            return Err(CliError::no(
                format!("`{}` is no valid policy{first}", policy.display()),
                "`callgate check FILE` names every error with its place; nothing was changed",
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(CliError::outside(format!("`{}` cannot be read: {error}", policy.display()), ""));
        }
    }
    if args.policy.is_none() {
        policies_folder(paths)?;
    }
    let from = SourceArgs {
        client: Some(configured.client.to_owned()),
        server: Some(configured.server.clone()),
        ..SourceArgs::default()
    };
    let write = |text: &str| {
        write_whole(policy, text.as_bytes(), Existing::Keep).map_err(|error| not_written(policy, &error))
    };
    match source::load(&from, args.timeout, out).map(|loaded| loaded.servers.into_iter().next()) {
        Ok(Some(server)) => {
            let (text, what) = starting_policy(&server, args.profile)?;
            write(&text)?;
            out.note(&format!("wrote `{}`: {} ({what})", policy.display(), describe(&server, args.profile)));
            super::pin::first(policy, &server, out)
        }
        Ok(None) => write(&Document::new_text()),
        Err(error) => {
            write(&Document::new_text())?;
            out.note(&format!("warning: {error}"));
            out.note(&format!(
                "  so its tools are not known, and the new `{}` denies every call until you allow some",
                policy.display()
            ));
            Ok(())
        }
    }
}

/// Puts the new text in the file's place, unless somebody else has changed it meanwhile.
fn replace(file: &Path, old: &str, new: &str) -> Result<(), CliError> {
    if read(file)? != old {
        return Err(CliError::outside(
            format!("`{}` was changed by somebody else meanwhile", file.display()),
            "nothing was changed; run this again",
        ));
    }
    write_whole(file, new.as_bytes(), Existing::Replace).map_err(|error| not_written(file, &error))
}

fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file)
        .map_err(|error| CliError::outside(format!("`{}` cannot be read: {error}", file.display()), ""))
}

fn done(configured: &Configured, did: Did) -> Done {
    Done {
        client: configured.client,
        server: configured.server.clone(),
        file: configured.file.clone(),
        did,
        policy: None,
        exact: None,
    }
}

fn finish(servers: Vec<Done>, out: &Output) -> Result<(), CliError> {
    match out.format {
        Format::Json => out.json(&Report { servers }),
        Format::Text => Ok(()),
    }
}

fn show_diff(file: &Path, old: &str, new: &str, out: &Output) -> Result<(), CliError> {
    if out.format == Format::Json {
        return Ok(());
    }
    out.line(&out.tint(Tint::Strong, &visible(&file.display().to_string())))?;
    // Terminals are shared and recorded; the files keep every word.
    for line in diff(&masked(old), &masked(new), 1) {
        let (mark, tint) = match line.kind {
            DiffKind::Same => (' ', None),
            DiffKind::Added => ('+', Some(Tint::Good)),
            DiffKind::Removed => ('-', Some(Tint::Bad)),
            DiffKind::Skip => ('~', Some(Tint::Dim)),
        };
        let text = format!("{mark} {}", visible(&line.text));
        out.line(&tint.map_or_else(|| text.clone(), |tint| out.tint(tint, &text)))?;
    }
    Ok(())
}

fn visible_lines(text: &str) -> String {
    text.lines().map(|line| format!("    {}", visible(line))).collect::<Vec<_>>().join("\n")
}

fn env() -> Result<Env, CliError> {
    Env::from_process().ok_or_else(|| {
        CliError::usage("HOME is not set, so no client's configuration can be found", "set HOME")
    })
}

fn utf8(path: &Path) -> Result<String, CliError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::usage(format!("`{}` cannot stand in a configuration: it is not UTF-8", path.display()), "")
    })
}

/// Where clients find this program: as PATH names it, so that a new version in the same place is
/// found too, else where it lies.
fn program() -> Result<String, CliError> {
    let own = std::env::current_exe()
        .map_err(|error| CliError::outside(format!("this program's own place is not known: {error}"), ""))?;
    let real = std::fs::canonicalize(&own).unwrap_or_else(|_| own.clone());
    let name = real.file_name().unwrap_or_default().to_owned();
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&folders)
        .map(|folder| folder.join(&name))
        .find(|path| path.is_absolute() && std::fs::canonicalize(path).is_ok_and(|path| path == real));
    utf8(&named.unwrap_or(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_somebody_else_changes_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, "theirs").expect("written");
        let error = replace(&file, "what was read", "ours").expect_err("it differs");
        assert!(error.to_string().contains("meanwhile"), "{error}");
        assert_eq!(std::fs::read(&file).expect("read"), b"theirs");
        replace(&file, "theirs", "ours").expect("replaced");
        assert_eq!(std::fs::read(&file).expect("read"), b"ours");
    }
}
