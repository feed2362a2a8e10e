//! Why a tool list could not be had, for people.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;

use crate::visible::visible;

/// How many of a server's last lines are kept, so that a stack trace does not push the message out.
pub(super) const KEPT_LINES: usize = 60;
/// How many of a server's last lines an error shows.
const SHOWN_LINES: usize = 10;
/// The longest line of a server that an error shows, in characters.
const SHOWN_CHARACTERS: usize = 300;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What was asked for cannot be: an unknown client, no such server in its file.
    Usage,
    /// A file is missing, unreadable or holds something else.
    File,
    /// The server could not be started, ended, hung, or answered something else than a list.
    Server,
    /// The server wants credentials.
    Credentials,
    /// The person asked to stop.
    Interrupted,
}

/// A tool list that could not be had: what happened and where, what the server itself said last,
/// and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogError {
    /// The kind.
    pub failure: Failure,
    /// What happened.
    pub message: String,
    /// The server's last lines, made harmless.
    pub said: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether a command that was started never said anything that a server says.
    pub(super) no_server: bool,
}

impl CatalogError {
    pub(super) fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into(), said: Vec::new(), help: None, no_server: false }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says that the command never spoke as a server does, if so.
    #[must_use]
    pub(super) fn no_server(mut self, so: bool) -> Self {
        self.no_server = so;
        self
    }

    /// Adds what the server said last, and reads from it whether credentials are what is missing.
    #[must_use]
    pub(super) fn said(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        let lines: Vec<String> = lines.into_iter().filter(|line| !shown(line).trim().is_empty()).collect();
        let all = format!("{}\n{}", self.message, lines.join("\n"));
        if let Some(help) = credentials(&all) {
            self.failure = Failure::Credentials;
            self.help = Some(help);
        }
        let telling: Vec<&String> = lines.iter().filter(|line| !is_noise(line)).collect();
        let lines: Vec<&String> = if telling.is_empty() { lines.iter().collect() } else { telling };
        let from = lines.len().saturating_sub(SHOWN_LINES);
        self.said = lines.iter().skip(from).map(|line| shown(line)).collect();
        self
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.said.is_empty() {
            f.write_str("\n  the server said last:")?;
            for line in &self.said {
                write!(f, "\n  | {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for CatalogError {}

/// Frames of a JavaScript stack and a package runner's own remarks: they hide what is told.
fn is_noise(line: &str) -> bool {
    let plain = line.trim();
    (line.starts_with(' ') && plain.starts_with("at ") && plain.contains(':'))
        || ["npm warn", "npm notice", "Node.js v"].iter().any(|start| plain.starts_with(start))
        || plain.chars().all(|letter| "^~ ".contains(letter))
}

/// A server's line as people may see it: without colours, every other control visible, cut.
pub(super) fn shown(line: &str) -> String {
    let line = line.trim_end();
    let plain = colours().map_or_else(|| line.into(), |colours| colours.replace_all(line, ""));
    let plain = visible(&plain);
    let mut cut: String = plain.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < plain.len() {
        cut.push('…');
    }
    cut
}

fn colours() -> Option<&'static Regex> {
    static COLOURS: OnceLock<Option<Regex>> = OnceLock::new();
    COLOURS.get_or_init(|| Regex::new("\u{1b}\\[[0-9;]*m").ok()).as_ref()
}

/// What speaks of credentials.
const THING: &str = r"(?i)\bapi[ _-]?keys?\b|\b(access|auth|bearer|bot|personal|api)[ _-]?tokens?\b|_(TOKEN|API_KEY|SECRET|SECRET_KEY|PASSWORD)\b|\bcredentials?\b|\bauthentication\b|\bauthori[sz]ation\b|\btoken\b|\bpassword\b|connection string|environment variables?\b";
/// What says that something is lacking.
const LACK: &str = r"(?i)\b(required|missing|must|invalid|expired|unset|undefined|unable|cannot|failed|denied|rejected)\b|\bnot (been )?(set|provided|found|given|configured|specified|defined|valid|present)\b|\bcould not\b|\bno [a-z_ ]{0,30}\b(found|set|provided|given|configured|specified)\b|\bplease (set|provide|add|export|configure|supply|specify)\b|\bis empty\b|\bneeds?\b";
/// What says both at once.
const PLAIN: &str = r"(?i)\bunauthori[sz]ed\b|\bunauthenticated\b|\bnot (logged|signed) in\b|\b(log|sign) ?in first\b|\b(please|must) (log|sign) ?in\b|\b(http|status|code|error)\b.{0,12}\b40[13]\b|\b40[13]\b.{0,12}\bforbidden\b";
const VARIABLES: &str = r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:TOKEN|KEY|SECRET|PASSWORD|ID|URL|URI|STRING|CREDENTIALS|AUTH|HOST|USER|USERNAME|DSN)\b";

/// What to do when a text reads as if credentials were missing. A program that only mentions them,
/// in a menu for instance, does not say that it lacks them: one line has to say both.
fn credentials(text: &str) -> Option<String> {
    static WORDS: OnceLock<Option<[Regex; 4]>> = OnceLock::new();
    let [thing, lack, plain, variables] = WORDS
        .get_or_init(|| {
            let regex = |text| Regex::new(text).ok();
            Some([regex(THING)?, regex(LACK)?, regex(PLAIN)?, regex(VARIABLES)?])
        })
        .as_ref()?;
    if !text.lines().any(|line| plain.is_match(line) || (thing.is_match(line) && lack.is_match(line))) {
        return None;
    }
    let mut names: Vec<&str> = variables.find_iter(text).map(|found| found.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(4);
    Some(match names.first() {
        Some(first) => format!(
            "it seems to want credentials (`{}`): set them in the environment, for instance `{first}=... callgate ...`",
            names.join("`, `")
        ),
        None => "it seems to want credentials: give it what its documentation asks for, in the environment or in its arguments".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_credentials_are_named() {
        for (said, variable) in [
            (
                "GITHUB_PERSONAL_ACCESS_TOKEN environment variable is required",
                Some("GITHUB_PERSONAL_ACCESS_TOKEN"),
            ),
            ("Error: Stripe API key not provided. Please set STRIPE_SECRET_KEY", Some("STRIPE_SECRET_KEY")),
            ("Please set SLACK_BOT_TOKEN and SLACK_TEAM_ID environment variables", Some("SLACK_BOT_TOKEN")),
            ("HTTP 401 Unauthorized", None),
            ("request failed with status code 403", None),
            ("No API key found in the environment", None),
            ("You are not logged in. Please log in first.", None),
            ("error: missing environment variable BRAVE_API_KEY", Some("BRAVE_API_KEY")),
            ("authentication failed: token expired", None),
        ] {
            let error = CatalogError::new(Failure::Server, "it ended").said([said.to_owned()]);
            assert_eq!(error.failure, Failure::Credentials, "{said}");
            if let Some(variable) = variable {
                assert!(error.help.clone().unwrap_or_default().contains(variable), "{error:?}");
            }
        }
        for said in [
            "SyntaxError: bad",
            "  login     log in to your account",
            "  1) Authentication  2) API keys  3) Quit",
            "  auth      manage credentials and access tokens",
            "Commands: help, login, logout, token, version",
            "--token TOKEN  the API token to use",
            "listening on port 401",
        ] {
            let menu = ["usage: tool COMMAND".to_owned(), said.to_owned(), "command is missing".to_owned()];
            let error = CatalogError::new(Failure::Server, "it ended").said(menu);
            assert_eq!((error.failure, error.help), (Failure::Server, None), "{said}");
        }
    }

    #[test]
    fn a_stack_does_not_hide_the_message() {
        let mut lines = vec!["npm warn old".to_owned(), "Error: no".to_owned()];
        lines.extend((0..20).map(|n| format!("    at f (/x/y.js:{n}:1)")));
        lines.push("Node.js v20.20.2".to_owned());
        let error = CatalogError::new(Failure::Server, "it ended").said(lines);
        assert_eq!(error.said, ["Error: no"]);
        let error = CatalogError::new(Failure::Server, "it ended").said(["npm warn old".to_owned()]);
        assert_eq!(error.said, ["npm warn old"]);
    }

    #[test]
    fn what_the_server_says_cannot_drive_the_terminal() {
        let lines = (0..30).map(|n| format!("\u{1b}[31mline {n}\u{1b}[0m \u{1b}]0;title\u{7}"));
        let error = CatalogError::new(Failure::Server, "it ended").said(lines);
        assert_eq!(error.said.len(), SHOWN_LINES);
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
        assert!(error.to_string().contains("line 29"));
    }
}
