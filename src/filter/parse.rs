//! Reading a filter's text.

use regex::bytes::Regex;

use super::args::{ArgTerm, Compare, Wanted};
use super::text::Pattern;
use super::{Field, FilterError, Kind, OTHER_NAMES, View, needle};
use crate::json::Span;
use crate::json::number::Decimal;
use crate::record::{Status, Verdict};
use crate::time::{Timestamp, parse_duration};

/// Words that `decision:` can have.
pub(super) const DECISIONS: [(&str, Verdict); 3] =
    [("allow", Verdict::Allow), ("deny", Verdict::Deny), ("approve", Verdict::Approve)];

/// Words that `status:` can have.
pub(super) const STATUSES: [(&str, Status); 5] = [
    ("ok", Status::Ok),
    ("tool_error", Status::ToolError),
    ("rpc_error", Status::RpcError),
    ("cancelled", Status::Cancelled),
    ("lost", Status::Lost),
];

/// Words that `kind:` can have.
pub(super) const KINDS: [&str; 14] = [
    "call",
    "decision",
    "outcome",
    "event",
    "start",
    "stop",
    "policy",
    "policy_rejected",
    "freeze",
    "unfreeze",
    "override",
    "approval",
    "drift",
    "store",
];

/// What `shadow:` can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The shadow policy would have decided so.
    Is(Verdict),
    /// It would have decided as was decided.
    Same,
    /// It would have decided otherwise.
    Differs,
}

/// Words that `shadow:` can have.
pub(super) const SHADOWS: [(&str, Beside); 5] = [
    ("differs", Beside::Differs),
    ("same", Beside::Same),
    ("allow", Beside::Is(Verdict::Allow)),
    ("deny", Beside::Is(Verdict::Deny)),
    ("approve", Beside::Is(Verdict::Approve)),
];

/// One term.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Text(Field, Vec<Pattern>),
    Decision(Vec<Verdict>),
    Status(Vec<Status>),
    Kind(Vec<&'static str>),
    Shadow(Vec<Beside>),
    Arg(ArgTerm),
    Since(Timestamp),
    Until(Timestamp),
    /// Somewhere in tool, rule, message or arguments.
    Anywhere(Pattern),
}

impl Term {
    pub(super) fn holds(&self, view: &View<'_>) -> bool {
        match self {
            Self::Text(field, patterns) => {
                let text = text_of(*field, view);
                patterns.iter().any(|pattern| pattern.matches(text))
            }
            Self::Decision(wanted) => matches!(view.kind, Kind::Call(verdict) if wanted.contains(&verdict)),
            Self::Status(wanted) => view.status.is_some_and(|status| wanted.contains(&status)),
            Self::Kind(wanted) => wanted.iter().any(|wanted| is_kind(view.kind, wanted)),
            Self::Shadow(wanted) => match (view.kind, view.shadow) {
                (Kind::Call(decided), Some(shadow)) => wanted.iter().any(|wanted| match wanted {
                    Beside::Is(verdict) => *verdict == shadow,
                    Beside::Same => decided == shadow,
                    Beside::Differs => decided != shadow,
                }),
                _ => false,
            },
            Self::Arg(term) => term.holds(view.args),
            Self::Since(from) => view.ts >= *from,
            Self::Until(to) => view.ts < *to,
            Self::Anywhere(pattern) => {
                [view.tool, view.rule, view.message, view.args, view.server, view.grant]
                    .into_iter()
                    .any(|text| pattern.matches(text))
            }
        }
    }
}

impl Term {
    /// See [`super::Filter::needles`].
    pub(super) fn needle(&self) -> Option<Regex> {
        match self {
            Self::Decision(wanted) => {
                let words = DECISIONS.iter().filter(|(_, verdict)| wanted.contains(verdict));
                needle::words(&words.map(|(word, _)| ("decision", *word)).collect::<Vec<_>>())
            }
            Self::Status(wanted) => {
                let words = STATUSES.iter().filter(|(_, status)| wanted.contains(status));
                needle::words(&words.map(|(word, _)| ("status", *word)).collect::<Vec<_>>())
            }
            Self::Kind(wanted) => {
                let member = |kind: &&'static str| match *kind {
                    "call" | "decision" => ("type", "decision"),
                    "outcome" | "event" => ("type", *kind),
                    kind => ("kind", kind),
                };
                needle::words(&wanted.iter().map(member).collect::<Vec<_>>())
            }
            Self::Shadow(_) => needle::object("shadow"),
            Self::Text(field, patterns) => needle::field(*field, patterns),
            Self::Arg(term) => needle::argument(term.steps.first()?),
            Self::Anywhere(pattern) => needle::anywhere(pattern),
            Self::Since(_) | Self::Until(_) => None,
        }
    }

    /// See [`super::Filter::may_be_outcome`].
    pub(super) fn may_be_outcome(&self) -> bool {
        match self {
            // An outcome has none of the other fields.
            Self::Text(field, patterns) => {
                *field == Field::Gateway || patterns.iter().any(|pattern| pattern.matches(""))
            }
            Self::Anywhere(pattern) => pattern.matches(""),
            Self::Kind(wanted) => wanted.contains(&"outcome"),
            Self::Status(_) | Self::Since(_) | Self::Until(_) => true,
            Self::Decision(_) | Self::Shadow(_) | Self::Arg(_) => false,
        }
    }
}

fn text_of<'a>(field: Field, view: &View<'a>) -> &'a str {
    match field {
        Field::Tool => view.tool,
        Field::Rule => view.rule,
        Field::Grant => view.grant,
        Field::Server => view.server,
        Field::Gateway => view.gateway,
        Field::Session => view.session,
        Field::Client => view.client,
        Field::Method => view.method,
        Field::Message => view.message,
        Field::Decision | Field::Status | Field::Shadow | Field::Kind => "",
    }
}

fn is_kind(kind: Kind, wanted: &str) -> bool {
    match kind {
        Kind::Call(_) => matches!(wanted, "call" | "decision"),
        Kind::Outcome => wanted == "outcome",
        Kind::Event(event) => {
            wanted == "event" || serde_json::to_value(event).is_ok_and(|name| name.as_str() == Some(wanted))
        }
    }
}

/// A word of the text: its parts, told apart by how they were written.
struct Word<'t> {
    text: &'t str,
    span: Span,
}

/// Splits at white space outside of quotes and of a regular expression that a colon begins.
fn words(text: &str) -> Result<Vec<Word<'_>>, FilterError> {
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut open: Option<(char, usize)> = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match open {
            Some((end, _)) if c == end && before != '\\' => open = None,
            Some(_) => {}
            None if c.is_whitespace() => {
                if let Some(start) = start.take() {
                    found.extend(word(text, start, at));
                }
            }
            None => {
                if c == '"' || (c == '/' && begins_value(text, start, at)) {
                    open = Some((c, at));
                }
                start.get_or_insert(at);
            }
        }
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    if let Some((c, at)) = open {
        let what = if c == '"' { "a quote" } else { "a regular expression" };
        return Err(FilterError {
            span: Span { start: at, end: text.len() },
            message: format!("{what} is not closed"),
            help: Some(format!("end it with {c}")),
        });
    }
    if let Some(start) = start {
        found.extend(word(text, start, text.len()));
    }
    Ok(found)
}

fn word(text: &str, start: usize, end: usize) -> Option<Word<'_>> {
    Some(Word { text: text.get(start..end)?, span: Span { start, end } })
}

/// A slash begins a regular expression only as the first character of a value whose rest has
/// another slash: rules begin with a slash too (`rule:/tools/pull/...`), and are not one.
fn begins_value(text: &str, start: Option<usize>, at: usize) -> bool {
    let first = match start {
        None => true,
        Some(start) => {
            let head = text.get(start..at).unwrap_or("");
            matches!(head, "-" | "!") || head.ends_with(':')
        }
    };
    let rest = text.get(at + 1..).unwrap_or("");
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    first && is_expression(rest.get(..end).unwrap_or(""))
        || first && rest.get(..end).is_some_and(|part| !part.contains('/')) && rest.contains('/')
}

/// Whether what follows a slash, up to the next white space, is an expression and its closing
/// slash: it ends with one, and is no path.
fn is_expression(rest: &str) -> bool {
    rest.ends_with('/') && rest.len() > 1 && !rest.starts_with("tools/") && !rest.starts_with("all_tools/")
}

pub(super) fn terms(text: &str, now: Timestamp) -> Result<Vec<(bool, Term)>, FilterError> {
    let mut terms = Vec::new();
    for word in words(text)? {
        let (wanted, body) = match word.text.strip_prefix(['-', '!']) {
            Some(rest) if !rest.is_empty() => (false, rest),
            _ => (true, word.text),
        };
        let offset = word.span.end - body.len();
        terms.push((wanted, term(body, offset, now)?));
    }
    Ok(terms)
}

fn term(body: &str, offset: usize, now: Timestamp) -> Result<Term, FilterError> {
    let whole = Span { start: offset, end: offset + body.len() };
    let name_end = body.find([':', '"', '/']).filter(|at| body.as_bytes().get(*at) == Some(&b':'));
    let Some(at) = name_end else {
        let pattern = pattern(body, whole)?.anywhere().map_err(|why| too_much(whole, why))?;
        return Ok(Term::Anywhere(pattern));
    };
    let (name, value) = (body.get(..at).unwrap_or(""), body.get(at + 1..).unwrap_or(""));
    let name_span = Span { start: offset, end: offset + at };
    let span = Span { start: offset + at + 1, end: whole.end };
    if value.is_empty() {
        return Err(error(span, format!("`{name}:` has no value"), format!("write `{name}:something`")));
    }
    if let Some(path) = name.strip_prefix("arg.").or_else(|| name.strip_prefix("args.")) {
        return arg(path, value, span).map(Term::Arg);
    }
    match name {
        "since" => return instant(value, span, now).map(Term::Since),
        "until" => return instant(value, span, now).map(Term::Until),
        _ => {}
    }
    let Some((field, _)) = Field::ALL.into_iter().find(|(_, known)| *known == name) else {
        return Err(unknown(name, name_span));
    };
    Ok(match field {
        Field::Decision => Term::Decision(one_of(value, span, &DECISIONS)?),
        Field::Status => Term::Status(one_of(value, span, &STATUSES)?),
        Field::Shadow => Term::Shadow(one_of(value, span, &SHADOWS)?),
        Field::Kind => Term::Kind(one_of(value, span, &KINDS.map(|name| (name, name)))?),
        field => Term::Text(field, patterns(value, span)?),
    })
}

fn error(span: Span, message: impl Into<String>, help: impl Into<String>) -> FilterError {
    FilterError { span, message: message.into(), help: Some(help.into()) }
}

fn unknown(name: &str, span: Span) -> FilterError {
    let shown = crate::visible::visible(name);
    let names = Field::ALL.iter().map(|(_, known)| *known).chain(OTHER_NAMES);
    let near = nearest(name, names);
    let help = match near {
        Some(near) => format!("did you mean `{near}`? text with a colon goes into quotes"),
        None => "text with a colon goes into quotes; fields are tool, decision, rule, server, arg.NAME, since and others".to_owned(),
    };
    error(span, format!("there is no field `{shown}`"), help)
}

/// The known word that is nearest to a wrong one.
pub(super) fn nearest<'w>(wrong: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let wrong: String = wrong.chars().take(40).collect();
    known
        .map(|word| (strsim::damerau_levenshtein(&wrong, word), word))
        .filter(|(distance, word)| *distance <= 2.max(word.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn one_of<T: Copy>(value: &str, span: Span, known: &[(&str, T)]) -> Result<Vec<T>, FilterError> {
    value
        .split(',')
        .map(|word| {
            let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let help = match nearest(word, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it is one of {}", names.join(", ")),
                };
                error(span, format!("`{}` is not a value of this field", crate::visible::visible(word)), help)
            })
        })
        .collect()
}

fn patterns(value: &str, span: Span) -> Result<Vec<Pattern>, FilterError> {
    if value.starts_with(['"', '/']) {
        return Ok(vec![pattern(value, span)?]);
    }
    let patterns: Vec<Pattern> =
        value.split(',').map(Pattern::glob).collect::<Result<_, _>>().map_err(|why| too_much(span, why))?;
    if patterns.iter().any(Pattern::is_empty) {
        return Err(error(span, "an empty value between commas", "write text with a comma in quotes"));
    }
    Ok(patterns)
}

fn pattern(value: &str, span: Span) -> Result<Pattern, FilterError> {
    if let Some(inner) = value.strip_prefix('"') {
        let Some(inner) = inner.strip_suffix('"') else {
            return Err(error(span, "text follows a closing quote", "put a space between terms"));
        };
        return Ok(Pattern::exact(&inner.replace("\\\"", "\"").replace("\\\\", "\\")));
    }
    if let Some(inner) = value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'))
        && is_expression(value.get(1..).unwrap_or(""))
    {
        return Pattern::expression(&inner.replace("\\/", "/"))
            .map_err(|why| error(span, "the regular expression does not compile", why));
    }
    Pattern::glob(value).map_err(|why| too_much(span, why))
}

fn too_much(span: Span, why: String) -> FilterError {
    error(span, "the text cannot be searched for", why)
}

fn instant(value: &str, span: Span, now: Timestamp) -> Result<Timestamp, FilterError> {
    if let Some(instant) = Timestamp::parse(value) {
        return Ok(instant);
    }
    match parse_duration(value).and_then(|seconds| i64::try_from(seconds).ok()) {
        Some(seconds) => Ok(now.plus_micros(seconds.saturating_mul(-1_000_000))),
        None => Err(error(
            span,
            format!("`{}` is not a time", crate::visible::visible(value)),
            "write how long ago (`15m`, `2h`, `3d`) or an instant (`2026-11-20T21:00:00Z`)",
        )),
    }
}

fn arg(path: &str, value: &str, span: Span) -> Result<ArgTerm, FilterError> {
    let steps = steps(path);
    if steps.iter().any(String::is_empty) {
        return Err(error(span, "the argument has no name", "write `arg.NAME:value`"));
    }
    let wanted = if value == "*" {
        Wanted::Present
    } else if let Some((compare, rest)) = Compare::split(value) {
        let Some(number) = Decimal::parse(rest) else {
            let shown = crate::visible::visible(rest);
            let help = "compare with a number: `arg.amount:>100`";
            return Err(error(span, format!("`{shown}` is not a number"), help));
        };
        Wanted::Number(compare, number)
    } else {
        Wanted::Text(patterns(value, span)?)
    };
    Ok(ArgTerm { steps, wanted })
}

/// Splits at dots; `\.` is a dot in a name.
fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if let (Some(step), Some(next)) = (steps.last_mut(), chars.next()) {
                    step.push(next);
                }
            }
            '.' => steps.push(String::new()),
            c => {
                if let Some(step) = steps.last_mut() {
                    step.push(c);
                }
            }
        }
    }
    steps
}
