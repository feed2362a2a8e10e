//! `callgate grant`: tokens of grants and feeds, in gateway.json.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::args::{FeedRole, GrantAction, GrantAddArgs, GrantArgs, GrantRevokeArgs};
use super::output::{Format, Tint};
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
use crate::feed::message::Role;
use crate::gateway::config::{self, GatewayConfig};
use crate::gateway::policies::reload;
use crate::paths::{self, Existing};
use crate::policy::diagnostic::Severity;
use crate::policy::edit::member;
use crate::policy::suggest::closest;
use crate::time::{Timestamp, parse_duration, show_duration};
use crate::token::{self, TokenDigest};
use crate::visible::visible;

/// What `list --format json` prints.
#[derive(Debug, Serialize)]
struct Listed {
    grants: Vec<ListedGrant>,
    feed: Vec<ListedToken>,
}

#[derive(Debug, Serialize)]
struct ListedGrant {
    label: String,
    server: String,
    policy: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<PathBuf>,
    #[serde(flatten)]
    token: About,
}

#[derive(Debug, Serialize)]
struct ListedToken {
    label: String,
    role: Role,
    #[serde(flatten)]
    token: About,
}

/// About a token: never more than eight digits of its digest.
#[derive(Debug, Serialize)]
struct About {
    token_sha256: String,
    expires: Option<Timestamp>,
    expired: bool,
}

impl About {
    fn new(digest: &TokenDigest, expires: Option<Timestamp>, now: Timestamp) -> Self {
        Self { token_sha256: digest.short(), expires, expired: expires.is_some_and(|end| end <= now) }
    }

    fn end(&self, now: Timestamp, out: &Output) -> String {
        match self.expires {
            None => "never".to_owned(),
            Some(_) if self.expired => out.tint(Tint::Bad, "expired"),
            Some(end) => format!("in {}", show_duration(now.millis_until(end).div_ceil(1000))),
        }
    }
}

/// Runs the command.
pub(super) fn run(args: GrantArgs, out: &Output) -> Answer {
    match args.action {
        None | Some(GrantAction::List) => list(&args.config, out),
        Some(GrantAction::Add(add)) => self::add(&args.config, &add, out),
        Some(GrantAction::Revoke(revoke)) => self::revoke(&args.config, &revoke, out),
    }
}

fn list(path: &Path, out: &Output) -> Answer {
    let config = parse(path, &read(path)?)?;
    let now = clock::now();
    let grants = config.grants.iter().map(|grant| ListedGrant {
        label: grant.label.clone(),
        server: grant.server.clone(),
        policy: grant.policy.clone(),
        shadow: grant.shadow.clone(),
        token: About::new(&grant.digest, grant.expires, now),
    });
    let feed = config.feed.iter().flat_map(|feed| &feed.tokens).map(|token| ListedToken {
        label: token.label.clone(),
        role: token.role,
        token: About::new(&token.digest, token.expires, now),
    });
    let listed = Listed { grants: grants.collect(), feed: feed.collect() };
    if out.format == Format::Json {
        out.json(&listed)?;
        return Ok(Verdict::Yes);
    }
    if listed.grants.is_empty() && listed.feed.is_empty() {
        out.note("no grants and no feed tokens; `callgate grant add` makes them");
        return Ok(Verdict::Yes);
    }
    if !listed.grants.is_empty() {
        let rows = listed.grants.iter().map(|grant| {
            let policy = grant.policy.display().to_string();
            let mut policy = visible(&policy).into_owned();
            if let Some(shadow) = &grant.shadow {
                policy = format!("{policy} (shadow {})", visible(&shadow.display().to_string()));
            }
            let end = grant.token.end(now, out);
            [
                visible(&grant.label).into_owned(),
                grant.server.clone(),
                end,
                grant.token.token_sha256.clone(),
                policy,
            ]
        });
        table(["GRANT", "SERVER", "ENDS", "TOKEN", "POLICY"], rows.collect(), out)?;
    }
    if !listed.feed.is_empty() {
        if !listed.grants.is_empty() {
            out.line("")?;
        }
        let rows = listed.feed.iter().map(|token| {
            let role = if token.role == Role::Operator { "operator" } else { "viewer" };
            let end = token.token.end(now, out);
            [visible(&token.label).into_owned(), role.to_owned(), end, token.token.token_sha256.clone()]
        });
        table(["FEED", "ROLE", "ENDS", "TOKEN"], rows.collect(), out)?;
    }
    Ok(Verdict::Yes)
}

/// Columns as wide as what stands in them; colour takes no room.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, out: &Output) -> Result<(), CliError> {
    let bare = |cell: &str| {
        let mut width = 0;
        let mut rest = cell;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            width += before.width();
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        width + rest.width()
    };
    let mut lines = vec![head.map(|title| out.tint(Tint::Dim, title))];
    lines.extend(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| bare(cell)).max().unwrap_or(0)
    });
    for line in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            text.push_str(cell);
            if column + 1 < N {
                text.push_str(&" ".repeat(width.saturating_sub(bare(cell)) + 2));
            }
        }
        out.line(text.trim_end())?;
    }
    Ok(())
}

fn add(path: &Path, args: &GrantAddArgs, out: &Output) -> Answer {
    if let Some(wrong) = config::label_error(&args.label) {
        return Err(CliError::usage(format!("the label {wrong}"), "choose a short name, for instance `ci`"));
    }
    let expires = args.expires.as_deref().map(ends).transpose()?;
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)
        .map_err(|error| CliError::outside(format!("the system gives no random numbers: {error}"), ""))?;
    let token = token::text(&random);
    let mut entry = serde_json::Map::new();
    let mut warning = None;
    let mut feed_moves = false;
    let place = if args.feed {
        let role = if args.role == Some(FeedRole::Operator) { "operator" } else { "viewer" };
        entry.insert("role".to_owned(), json!(role));
        ["feed", "tokens"].as_slice()
    } else {
        let folder = config::folder(path);
        entry.insert("server".to_owned(), json!(args.server));
        let policy = args.policy.as_deref().unwrap_or_default();
        entry.insert("policy".to_owned(), json!(written(folder, policy)?));
        if let Some(shadow) = &args.shadow {
            entry.insert("shadow".to_owned(), json!(written(folder, shadow)?));
        }
        warning = reload::load(Path::new(policy)).err();
        ["grants"].as_slice()
    };
    entry.insert("token_sha256".to_owned(), json!(TokenDigest::of(&token).hex()));
    if let Some(expires) = &expires {
        entry.insert("expires".to_owned(), json!(expires));
    }
    // Built by hand: the map's own order is not the one that people read.
    let order = ["server", "role", "policy", "shadow", "token_sha256", "expires"];
    let members = order.iter().filter_map(|key| Some(format!("{:?}:{}", key, entry.get(*key)?)));
    let value = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    change(path, |text, config| {
        feed_moves = args.feed && config.feed.as_ref().is_none_or(|feed| feed.listen.is_none());
        let present = if args.feed {
            config.feed.iter().flat_map(|feed| &feed.tokens).any(|token| token.label == args.label)
        } else {
            config.grants.get(&args.label).is_some()
        };
        if present {
            return Err(CliError::no(
                format!("`{}` is there already", visible(&args.label)),
                "revoke it first, or choose another label",
            ));
        }
        if let Some(server) = args.server.as_deref().filter(|name| config.server(name).is_none()) {
            let known = config.servers.iter().map(|(name, _)| name.as_str());
            let help = match closest(server, known.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("`servers` has {}", names(known)),
            };
            return Err(CliError::usage(format!("there is no server `{}`", visible(server)), help));
        }
        let mut place = place.to_vec();
        place.push(&args.label);
        member::put(text, &place, &value).map_err(|error| CliError::outside(error.to_string(), ""))
    })?;
    match out.format {
        Format::Json => {
            let mut shown = serde_json::Map::new();
            shown.insert("label".to_owned(), json!(args.label));
            shown.insert("token".to_owned(), json!(token));
            shown.extend(entry.into_iter().filter(|(key, _)| key != "token_sha256"));
            out.json(&shown)?;
        }
        Format::Text => out.line(&token)?,
    }
    let what = if args.feed { "feed token" } else { "grant" };
    out.note(&format!(
        "The {what} `{}` stands in {}.",
        visible(&args.label),
        visible(&path.display().to_string())
    ));
    out.note(&format!(
        "{} this is the only time that its token is shown; keep it where secrets are kept, and off command lines",
        super::output::paint(out.color_errors, Tint::Warn, "warning:")
    ));
    if feed_moves {
        out.note(&format!(
            "{} without an address under `feed.listen` the feed is at another port of this machine at each \
             start; say for instance `\"feed\": {{ \"listen\": \"127.0.0.1:4720\" }}`",
            super::output::paint(out.color_errors, Tint::Warn, "warning:")
        ));
    }
    if let Some(error) = warning {
        out.note(&format!(
            "{} until its policy is there and valid, the grant allows nothing, and no gateway starts with it: {error}",
            super::output::paint(out.color_errors, Tint::Warn, "warning:")
        ));
    }
    Ok(Verdict::Yes)
}

fn revoke(path: &Path, args: &GrantRevokeArgs, out: &Output) -> Answer {
    let what = if args.feed { "feed token" } else { "grant" };
    change(path, |text, config| {
        let grants: Vec<&str> = config.grants.iter().map(|grant| grant.label.as_str()).collect();
        let feed = config.feed.iter().flat_map(|feed| &feed.tokens).map(|token| token.label.as_str());
        let feed: Vec<&str> = feed.collect();
        let (here, there) = if args.feed { (&feed, &grants) } else { (&grants, &feed) };
        let label = args.label.as_str();
        if !here.contains(&label) {
            let help = if there.contains(&label) {
                if args.feed {
                    "it is a grant: leave `--feed` out".to_owned()
                } else {
                    "it is a feed token: add `--feed`".to_owned()
                }
            } else if let Some(meant) = closest(label, here.iter().copied()) {
                format!("did you mean `{}`?", visible(meant))
            } else {
                format!("there are {}", names(here.iter().copied()))
            };
            return Err(CliError::no(format!("there is no {what} `{}`", visible(label)), help));
        }
        let place: &[&str] = if args.feed { &["feed", "tokens", label] } else { &["grants", label] };
        member::take(text, place).map_err(|error| CliError::outside(error.to_string(), ""))
    })?;
    match out.format {
        Format::Json => out.json(&json!({ "revoked": args.label, "feed": args.feed }))?,
        Format::Text => {
            out.line(&format!("{} the {what} `{}`", out.tint(Tint::Good, "Revoked:"), visible(&args.label)))?;
        }
    }
    Ok(Verdict::Yes)
}

/// Changes the file by one edit, whole or not at all, and never to what is not valid. Others who
/// change it in this way wait for each other.
fn change(
    path: &Path,
    edit: impl FnOnce(&str, &GatewayConfig) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let outside = |what: &str, error: &dyn std::fmt::Display| {
        CliError::outside(format!("`{}` cannot be {what}: {error}", visible(&path.display().to_string())), "")
    };
    let _turn = turn(path)?;
    let text = read(path)?;
    let config = parse(path, &text)?;
    let text = String::from_utf8_lossy(&text);
    let changed = edit(&text, &config)?;
    parse(path, changed.as_bytes())?;
    paths::write_whole(path, changed.as_bytes(), Existing::Replace)
        .map_err(|error| outside("written", &error))
}

/// Waits until nobody else is changing the file. It is replaced by each change, so that the lock
/// must be on the one that is there now.
#[cfg(unix)]
fn turn(path: &Path) -> Result<Option<std::fs::File>, CliError> {
    use rustix::fs::{FlockOperation, flock};
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
                let (ours, there) = (file.metadata().map(id), std::fs::metadata(path).map(id));
                if ours.is_ok_and(|ours| there.is_ok_and(|there| ours == there)) {
                    return Ok(Some(file));
                }
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            // Some file systems have no locks; the write is still whole.
            Err(_) => return Ok(None),
        }
        if Instant::now() > deadline {
            return Err(CliError::outside(
                format!("`{}` is being changed by another process", visible(&path.display().to_string())),
                "try again when it is done",
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(not(unix))]
fn turn(_path: &Path) -> Result<Option<std::fs::File>, CliError> {
    Ok(None)
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::outside(
        format!("`{}` cannot be read: {error}", visible(&path.display().to_string())),
        "name the gateway's configuration: `--config gateway.json`",
    )
}

/// The configuration; which variables the gateway will have is not known here, and not asked.
fn parse(path: &Path, text: &[u8]) -> Result<GatewayConfig, CliError> {
    let parsed = config::parse(text, config::folder(path), &|_| Some("x".to_owned()));
    if let Some(config) = parsed.config {
        return Ok(config);
    }
    let first = parsed.diagnostics.into_iter().find(|found| found.severity == Severity::Error);
    let name = path.display().to_string();
    let (why, help) = first.map_or_else(Default::default, |found| (found.to_string(), found.help));
    Err(CliError::no(format!("`{}` is not valid: {why}", visible(&name)), help.unwrap_or_default()))
}

/// A path given on the command line as it stands in the file: relative to the file where it lies
/// beside or below it.
fn written(folder: &Path, path: &str) -> Result<String, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| {
            CliError::usage(format!("`{}` is no path: {error}", visible(&path.display().to_string())), "")
        })
    };
    let file = absolute(Path::new(path))?;
    let folder = absolute(folder)?;
    let file = file.strip_prefix(&folder).map(Path::to_owned).unwrap_or(file);
    let text = file.to_str().ok_or_else(|| CliError::usage("the path is not UTF-8, which JSON needs", ""))?;
    Ok(text.to_owned())
}

/// When a `--expires` ends, to the second.
fn ends(text: &str) -> Result<String, CliError> {
    let seconds =
        parse_duration(text).filter(|seconds| *seconds > 0).and_then(|seconds| i64::try_from(seconds).ok());
    let seconds = seconds.ok_or_else(|| {
        CliError::usage(
            format!("`{}` is no length of time", visible(text)),
            "write for instance `12h` or `30d`",
        )
    })?;
    let end = Timestamp::from_secs(clock::now().secs().saturating_add(seconds)).to_string();
    Ok(end.replace(".000000", ""))
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", visible(name))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
