//! `callgate init`

use std::io;
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::explain::number;
use super::source::{self, shell_words};
use super::{Answer, CliError, Output, Verdict};
use crate::catalog::{Launch, ServerTools};
use crate::paths::{Existing, Paths, private_dir, write_whole};
use crate::policy::document::Document;
use crate::policy::edit::{Edit, apply};
use crate::risk::{Profile, Recommended, classify, recommend};
use crate::visible::visible;

/// What to do about a file that is there already.
const KEPT: &str =
    "`--force` replaces it; `callgate tools --policy FILE` shows what it says about the server's tools";

/// Runs the command.
pub(super) fn run(args: &InitArgs, out: &Output) -> Answer {
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    if let Some(path) = args.output.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(there_already(path, KEPT));
    }
    let loaded = source::load(&args.source, args.timeout, out)?;
    if let ([server], failed) = (loaded.servers.as_slice(), loaded.failed.len())
        && (failed == 0 || args.output.is_some())
    {
        let (text, what) = starting_policy(server, args.profile)?;
        let Some(path) = &args.output else {
            out.print(&text)?;
            out.note(&format!("{} ({what})", describe(server, args.profile)));
            return Ok(Verdict::Yes);
        };
        write(path, &text, existing)?;
        out.note(&format!("wrote `{}`: {} ({what})", path.display(), describe(server, args.profile)));
        super::pin::first(path, server, out)?;
        next(server, path, out);
        return Ok(Verdict::Yes);
    }
    if args.output.is_some() {
        return Err(CliError::usage(
            format!("`-o` names one file, and these are {} servers", loaded.servers.len()),
            "name one with `--server NAME`, or leave `-o` out: each server then gets its own policy in the configuration folder",
        ));
    }
    several(&loaded.servers, args.profile, existing, out)
}

/// Every server's policy in the configuration folder. A file that is there already stays, and the
/// others are written.
fn several(servers: &[ServerTools], profile: Profile, existing: Existing, out: &Output) -> Answer {
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    policies_folder(&paths)?;
    let mut kept = Vec::new();
    let mut taken: Vec<PathBuf> = Vec::new();
    for server in servers {
        let (text, what) = starting_policy(server, profile)?;
        let path = paths.policy_of(&server.name);
        if taken.contains(&path) {
            return Err(CliError::outside(
                format!("two servers would both be written to `{}`", path.display()),
                "write them one by one with `--server NAME -o FILE`",
            ));
        }
        taken.push(path.clone());
        match write_whole(&path, text.as_bytes(), existing) {
            Ok(()) => {
                out.note(&format!("wrote `{}`: {} ({what})", path.display(), describe(server, profile)));
                super::pin::first(&path, server, out)?;
                next(server, &path, out);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => kept.push(path),
            Err(error) => return Err(not_written(&path, &error)),
        }
    }
    if let Some(path) = kept.first() {
        let others = kept.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        return Err(CliError::outside(
            format!("`{}`{more} is there already and was kept", path.display()),
            "`--force` replaces it",
        ));
    }
    Ok(Verdict::Yes)
}

/// Makes the folder of configured servers' policies.
pub(super) fn policies_folder(paths: &Paths) -> Result<(), CliError> {
    let folder = paths.config.join("policies");
    private_dir(&folder)
        .map_err(|error| CliError::outside(format!("`{}` cannot be made: {error}", folder.display()), ""))
}

/// A policy for a server's tools, and what it does in a few words. Tools stand in the order of
/// their names, so that the same server gives the same text whatever order it lists in.
pub(super) fn starting_policy(server: &ServerTools, profile: Profile) -> Result<(String, String), CliError> {
    let mut tools: Vec<_> = server.tools.iter().collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools.dedup_by(|a, b| a.name == b.name);
    let mut edits: Vec<Edit> = Vec::with_capacity(tools.len());
    let mut counts = [0_usize; 5];
    for tool in tools {
        let recommended = recommend(&tool.name, classify(tool).category, profile);
        let kind = match &recommended {
            Recommended::Allow => 0,
            Recommended::Limit(_) => 1,
            Recommended::Approve => 2,
            Recommended::Deny { .. } => 3,
            Recommended::Hide => 4,
        };
        if let Some(count) = counts.get_mut(kind) {
            *count += 1;
        }
        edits.push(recommended.edits(&tool.name));
    }
    let text = apply(&Document::new_text(), &Edit::Batch(edits)).map_err(|error| {
        CliError::outside(
            format!("no policy can be written for `{}`: {error}", visible(&server.name)),
            error.help().unwrap_or_default(),
        )
    })?;
    let words = ["allowed", "with a limit", "by approval", "denied", "hidden"];
    let parts: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let what = if parts.is_empty() { "nothing is allowed".to_owned() } else { parts.join(", ") };
    Ok((text, what))
}

pub(super) fn describe(server: &ServerTools, profile: Profile) -> String {
    let profile = match profile {
        Profile::Strict => "strict",
        Profile::Balanced => "balanced",
        Profile::Open => "open",
    };
    format!("{}, {}, {profile}", visible(&server.name), number(server.tools.len(), "tool"))
}

/// What people do next: look at it, and put it in force.
fn next(server: &ServerTools, path: &Path, out: &Output) {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let [path, whole] = [path, &whole].map(|path| shell_words(&[path.display().to_string()]));
    match &server.launch {
        Some(Launch::Stdio(stdio)) => {
            let command = shell_words(&stdio.command);
            out.note(&format!("  look at it:   callgate {path} -- {command}"));
            out.note(&format!("  enforce it:   callgate gateway --policy {whole} -- {command}"));
            out.note("                (put that in the place of the server's command in your client's configuration)");
        }
        Some(Launch::Http(http)) => {
            let url = shell_words(&[crate::catalog::address(&http.url)]);
            out.note(&format!("  look at it:   callgate {path} --url {url}"));
            out.note(&format!(
                "  enforce it:   callgate gateway --policy {whole} --listen 127.0.0.1:8808 --upstream {url}"
            ));
            out.note("                (your client then connects to http://127.0.0.1:8808/mcp)");
        }
        None => {
            out.note(&format!("  look at it:   callgate {path}"));
            out.note(&format!("  enforce it:   callgate gateway --policy {whole} -- CMD ARG..."));
        }
    }
    out.note(&format!("  check it:     callgate check {path}"));
}

fn write(path: &Path, text: &str, existing: Existing) -> Result<(), CliError> {
    write_whole(path, text.as_bytes(), existing).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            there_already(path, KEPT)
        } else {
            not_written(path, &error)
        }
    })
}

/// The file is there, and stays; what to do about it depends on the command.
pub(super) fn there_already(path: &Path, help: &str) -> CliError {
    CliError::outside(format!("`{}` is there already and was kept", path.display()), help)
}

pub(super) fn not_written(path: &Path, error: &io::Error) -> CliError {
    CliError::outside(format!("`{}` cannot be written: {error}", path.display()), "")
}
