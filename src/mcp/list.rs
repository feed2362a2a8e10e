//! Cutting hidden tools out of the answer to `tools/list`, by their bytes.
//!
//! Everything else of the answer stays as the server wrote it: order, spelling, `nextCursor`,
//! members that nobody knows. Where a list could be read in two ways it is refused whole, because
//! a tool that is cut in one reading would be seen in another.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::de::IgnoredAny;

use super::scan::{self, Broken};
use super::tool::Tool;
use crate::json::fold;
use crate::json::number::Decimal;

/// How a list is changed besides its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListOptions {
    /// The list depends on who asks (the policy hides something): caches are told so.
    pub private_cache: bool,
    /// With `private_cache`: the most that `ttlMs` may say, in milliseconds. Never raised to it.
    pub max_ttl_ms: u64,
    /// The request was of the 2026-07-28 era, whose lists carry `cacheScope` and `ttlMs`, so
    /// with `private_cache` they are put in where the server left them out. A result that names
    /// its `resultType` counts as such, too.
    pub modern: bool,
    /// The largest list that is looked at, in bytes.
    pub max_message: usize,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { private_cache: false, max_ttl_ms: 10_000, modern: false, max_message: 10 * 1024 * 1024 }
    }
}

/// An answer without its hidden tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The line to pass on; borrowed when nothing had to change.
    pub bytes: Cow<'a, [u8]>,
    /// Every tool's name in order, before cutting.
    pub names: Vec<String>,
    /// More pages follow.
    pub next_cursor: bool,
    /// Whether the answer held a list at all; an error or another result passes as it is.
    pub is_list: bool,
    /// How many tools were cut.
    pub hidden: usize,
    line: &'a [u8],
    elements: Vec<Range<usize>>,
}

impl Cut<'_> {
    /// The definitions before cutting, for screens and pins. Reads them only now, because that
    /// costs more than the cutting; a definition of another shape is left out.
    pub fn tools(&self) -> Vec<Tool> {
        let bytes = self.elements.iter().filter_map(|element| self.line.get(element.clone()));
        bytes.filter_map(|bytes| Tool::read(std::str::from_utf8(bytes).ok()?).ok()).collect()
    }

    /// The bytes of each definition before cutting, in the order of `names`.
    pub fn definitions(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().filter_map(|element| self.line.get(element.clone()))
    }
}

/// Why a list cannot be cut. The caller answers with an error instead of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListError {
    /// It is larger than the limit, in bytes.
    TooLarge(usize),
    /// It is no valid JSON, or not of the shape of a tool list.
    Unreadable(String),
    /// A member on the way to a name occurs twice, or differs from the known one only by case.
    Ambiguous(&'static str),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "the tool list is larger than {max} bytes"),
            Self::Unreadable(why) => write!(f, "the tool list cannot be read: {why}"),
            Self::Ambiguous(name) => {
                write!(f, "the tool list has more than one reading: `{name}` occurs twice")
            }
        }
    }
}

impl std::error::Error for ListError {}

impl From<Broken> for ListError {
    fn from(_: Broken) -> Self {
        Self::Unreadable("it ends too early".to_owned())
    }
}

/// Cuts every tool that `keep` does not keep out of one JSON-RPC response.
///
/// # Errors
/// When the line is over the limit, is no valid JSON, is no tool list although it has `tools`, or
/// holds a duplicate (or a case twin) of `result`, `tools`, a tool's `name`, or a cache member
/// that has to change.
pub fn cut_tools<'a>(
    line: &'a [u8],
    keep: &dyn Fn(&str) -> bool,
    options: &ListOptions,
) -> Result<Cut<'a>, ListError> {
    if line.len() > options.max_message {
        return Err(ListError::TooLarge(options.max_message));
    }
    validate(line)?;
    let mut cut = Cut {
        bytes: Cow::Borrowed(line),
        names: Vec::new(),
        next_cursor: false,
        is_list: false,
        hidden: 0,
        line,
        elements: Vec::new(),
    };
    let Some(result) = walk(line, &mut cut)? else {
        return Ok(cut);
    };
    let Some(tools) = result.tools else {
        return Ok(cut);
    };
    cut.is_list = true;
    cut.next_cursor = result.cursor.is_some_and(|cursor| line.get(cursor) != Some(b"null"));
    let mut edits: Vec<(Range<usize>, Cow<'static, [u8]>)> = Vec::new();
    let kept: Vec<bool> = cut.names.iter().map(|name| keep(name)).collect();
    cut.hidden = kept.iter().filter(|kept| !**kept).count();
    remove_hidden(&tools, &cut.elements, &kept, &mut edits);
    if options.private_cache {
        let modern = options.modern || result.result_type.is_some();
        let mut missing = String::new();
        match result.scope {
            Some(scope) if line.get(scope.clone()) != Some(br#""private""#) => {
                edits.push((scope, Cow::Borrowed(br#""private""#)));
            }
            None if modern => missing.push_str(r#","cacheScope":"private""#),
            _ => {}
        }
        match result.ttl {
            Some(ttl) if !is_at_most(line.get(ttl.clone()), options.max_ttl_ms) => {
                edits.push((ttl, options.max_ttl_ms.to_string().into_bytes().into()));
            }
            None if modern => {
                let _ = write!(missing, r#","ttlMs":{}"#, options.max_ttl_ms);
            }
            _ => {}
        }
        if !missing.is_empty() {
            edits.push((result.last..result.last, missing.into_bytes().into()));
        }
    }
    if !edits.is_empty() {
        cut.bytes = Cow::Owned(apply(line, edits));
    }
    Ok(cut)
}

/// The whole line must be valid JSON before it is walked by quotes and brackets.
fn validate(line: &[u8]) -> Result<(), ListError> {
    if std::str::from_utf8(line).is_err() {
        return Err(ListError::Unreadable("it is not valid UTF-8".to_owned()));
    }
    match serde_json::from_slice::<IgnoredAny>(line) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(ListError::Unreadable(error.to_string())),
    }
}

/// Where the parts of a result lie.
struct ResultParts {
    tools: Option<Range<usize>>,
    cursor: Option<Range<usize>>,
    scope: Option<Range<usize>>,
    ttl: Option<Range<usize>>,
    result_type: Option<Range<usize>>,
    /// One past the last member.
    last: usize,
}

/// One pass over the message, which finds the elements and their names on the way. `None` for an
/// error, and for a result that is no object.
fn walk(line: &[u8], cut: &mut Cut<'_>) -> Result<Option<ResultParts>, ListError> {
    let mut parts = None;
    let top = pick(line, scan::skip_space(line, 0), ["result", "error"], |name, start| {
        if name != "result" || line.get(start) != Some(&b'{') {
            return Ok(None);
        }
        let names = ["tools", "nextCursor", "cacheScope", "ttlMs", "resultType"];
        let result = pick(line, start, names, |name, start| {
            if name != "tools" {
                return Ok(None);
            }
            if line.get(start) != Some(&b'[') {
                return Err(ListError::Unreadable("`tools` is no array".to_owned()));
            }
            let (elements, end) = scan::elements_with(line, start, |at| {
                let (name, end) = tool_name(line, at)?;
                cut.names.push(name);
                Ok::<_, ListError>(end)
            })?;
            cut.elements = elements;
            Ok(Some(end))
        })?;
        let [tools, cursor, scope, ttl, result_type] = result.values;
        parts = Some(ResultParts { tools, cursor, scope, ttl, result_type, last: result.last });
        Ok(Some(result.end))
    })?;
    match top.values {
        [Some(_), Some(_)] => Err(ListError::Ambiguous("result")),
        _ => Ok(parts),
    }
}

/// The named members of one object.
struct Picked<const N: usize> {
    values: [Option<Range<usize>>; N],
    /// One past the last member.
    last: usize,
    /// One past the object.
    end: usize,
}

/// Finds the named members of the object at `start`. `descend` is told each one's name and where
/// its value begins, and may say where it ends to save a second look at it.
fn pick<const N: usize>(
    line: &[u8],
    start: usize,
    names: [&'static str; N],
    mut descend: impl FnMut(&str, usize) -> Result<Option<usize>, ListError>,
) -> Result<Picked<N>, ListError> {
    let Some(mut members) = scan::members(line, start) else {
        return Err(ListError::Unreadable("it is no object".to_owned()));
    };
    let mut values = [const { None }; N];
    let mut last = start + 1;
    while let Some((key, _, at)) = members.next_name()? {
        let mut end = None;
        for (name, place) in names.iter().zip(&mut values) {
            if *name == key {
                if place.is_some() {
                    return Err(ListError::Ambiguous(name));
                }
                end = descend(name, at)?;
                let found = match end {
                    Some(end) => end,
                    None => scan::skip_value(line, at).ok_or(Broken)?,
                };
                end = Some(found);
                *place = Some(at..found);
            } else if fold::same_ignoring_case(name, &key) {
                return Err(ListError::Ambiguous(name));
            }
        }
        last = match end {
            Some(end) => end,
            None => scan::skip_value(line, at).ok_or(Broken)?,
        };
        members.resume(last);
    }
    Ok(Picked { values, last, end: members.end.ok_or(Broken)? })
}

/// The name of the tool at `start`, and one past it.
fn tool_name(line: &[u8], start: usize) -> Result<(String, usize), ListError> {
    let Picked { values: [name], end, .. } = pick(line, start, ["name"], |_, _| Ok(None))?;
    let bytes = name.and_then(|name| line.get(name)).filter(|bytes| bytes.starts_with(b"\""));
    let Some(bytes) = bytes else {
        return Err(ListError::Unreadable("a tool has no name".to_owned()));
    };
    let (name, exact) = scan::decode(bytes);
    if !exact {
        return Err(ListError::Unreadable("a tool's name holds an unpaired surrogate".to_owned()));
    }
    Ok((name.into_owned(), end))
}

/// Removes each hidden element with the separator before it, or after it as long as nothing
/// before it is kept; all white space between kept elements stays.
fn remove_hidden(
    array: &Range<usize>,
    elements: &[Range<usize>],
    kept: &[bool],
    edits: &mut Vec<(Range<usize>, Cow<'static, [u8]>)>,
) {
    if !kept.contains(&true) {
        if !elements.is_empty() {
            edits.push((array.start + 1..array.end.saturating_sub(1), Cow::Borrowed(b"")));
        }
        return;
    }
    let mut any_before = false;
    let mut previous_end = array.start + 1;
    let following = elements.iter().skip(1).map(|next| next.start).chain([array.end]);
    for ((element, kept), next_start) in elements.iter().zip(kept).zip(following) {
        if !kept {
            let range = if any_before { previous_end..element.end } else { element.start..next_start };
            edits.push((range, Cow::Borrowed(b"")));
        }
        any_before |= kept;
        previous_end = element.end;
    }
}

/// Whether these bytes are a JSON number of at most `max`.
fn is_at_most(bytes: Option<&[u8]>, max: u64) -> bool {
    let number = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(Decimal::parse);
    number.is_some_and(|number| Some(number) <= Decimal::parse(&max.to_string()))
}

fn apply(line: &[u8], mut edits: Vec<(Range<usize>, Cow<'static, [u8]>)>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(line.len() + 64);
    let mut at = 0;
    for (range, replacement) in edits {
        out.extend_from_slice(line.get(at..range.start).unwrap_or(&[]));
        out.extend_from_slice(&replacement);
        at = range.end;
    }
    out.extend_from_slice(line.get(at..).unwrap_or(&[]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str, hide: &[&str], options: ListOptions) -> Result<String, ListError> {
        let keep = |name: &str| !hide.contains(&name);
        cut_tools(line.as_bytes(), &keep, &options)
            .map(|cut| String::from_utf8(cut.bytes.into_owned()).expect("UTF-8"))
    }

    fn plain(tools: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"a":[1],"tools":{tools},"nextCursor":"n"}}}}"#)
    }

    #[test]
    fn cuts_elements_and_keeps_the_rest() {
        let a = r#"{"name":"a"}"#;
        let b = r#"{ "x":{"name":"q"}, "na\u006de" : "\u0062" }"#;
        let c = r#"{"name":"c","name2":"}]"}"#;
        for (tools, hide, expected) in [
            (format!("[{a},{b},{c}]"), &["b"][..], format!("[{a},{c}]")),
            (format!("[{a},{b},{c}]"), &["a"], format!("[{b},{c}]")),
            (format!("[{a},{b},{c}]"), &["c"], format!("[{a},{b}]")),
            (format!("[{a},{b},{c}]"), &["a", "b"], format!("[{c}]")),
            (format!("[{a},{b},{c}]"), &["b", "c"], format!("[{a}]")),
            (format!("[{a},{b},{c}]"), &["a", "c"], format!("[{b}]")),
            (format!("[ {a} , {b} , {c} ]"), &["b"], format!("[ {a} , {c} ]")),
            (format!("[ {a} , {b} , {c} ]"), &["a"], format!("[ {b} , {c} ]")),
            (format!("[ {a} , {b} , {c} ]"), &["c"], format!("[ {a} , {b} ]")),
            (format!("[ {a} , {b} , {c} ]"), &["a", "b", "c"], "[]".to_owned()),
            (format!("[{a},{a}]"), &["a"], "[]".to_owned()),
            ("[ ]".to_owned(), &["a"], "[ ]".to_owned()),
            (format!("[{a}]"), &["A"], format!("[{a}]")),
        ] {
            assert_eq!(
                cut(&plain(&tools), hide, ListOptions::default()),
                Ok(plain(&expected)),
                "{tools} {hide:?}"
            );
        }
    }

    #[test]
    fn tells_names_pages_and_definitions() {
        let line = plain(r#"[{"name":"a","inputSchema":{"type":"object"}},{"name":"b","vendor":1}]"#);
        let cut = cut_tools(line.as_bytes(), &|name| name == "b", &ListOptions::default()).expect("list");
        assert_eq!(cut.names, ["a", "b"]);
        assert_eq!(cut.hidden, 1);
        assert!(cut.next_cursor && cut.is_list);
        assert_eq!(cut.tools()[1].other["vendor"], 1);
        let all = cut_tools(line.as_bytes(), &|_| true, &ListOptions::default()).expect("list");
        assert!(matches!(all.bytes, Cow::Borrowed(_)));
        let last = line.replace("\"n\"", "null");
        assert!(!cut_tools(last.as_bytes(), &|_| true, &ListOptions::default()).expect("list").next_cursor);
        for other in
            [r#"{"id":1,"error":{"code":1}}"#, r#"{"id":1,"result":{"x":1}}"#, r#"{"id":1,"result":null}"#]
        {
            let cut = cut_tools(other.as_bytes(), &|_| false, &ListOptions::default()).expect("passes");
            assert!(!cut.is_list && matches!(cut.bytes, Cow::Borrowed(_)));
        }
    }

    #[test]
    fn makes_caches_private() {
        let private = ListOptions { private_cache: true, ..ListOptions::default() };
        let modern = ListOptions { modern: true, ..private };
        for (result, options, expected) in [
            (
                r#"{"cacheScope":"public","tools":[{"name":"a"}],"ttlMs":60000}"#,
                private,
                r#"{"cacheScope":"private","tools":[],"ttlMs":10000}"#,
            ),
            (
                r#"{"tools":[],"ttlMs":0,"cacheScope":"private"}"#,
                private,
                r#"{"tools":[],"ttlMs":0,"cacheScope":"private"}"#,
            ),
            (r#"{"tools":[],"ttlMs":1e4}"#, private, r#"{"tools":[],"ttlMs":1e4}"#),
            (r#"{"tools":[],"ttlMs":1e5}"#, private, r#"{"tools":[],"ttlMs":10000}"#),
            (r#"{"tools":[],"ttlMs":"9"}"#, private, r#"{"tools":[],"ttlMs":10000}"#),
            (r#"{"tools":[]}"#, private, r#"{"tools":[]}"#),
            (
                r#"{"tools":[], "resultType":"complete" }"#,
                private,
                r#"{"tools":[], "resultType":"complete","cacheScope":"private","ttlMs":10000 }"#,
            ),
            (
                r#"{"ttlMs":5,"tools":[{"name":"a"}]}"#,
                modern,
                r#"{"ttlMs":5,"tools":[],"cacheScope":"private"}"#,
            ),
            (r#"{"ttlMs":50000,"tools":[]}"#, ListOptions::default(), r#"{"ttlMs":50000,"tools":[]}"#),
            (
                r#"{"tools":[],"ttlMs":null,"cacheScope":null}"#,
                private,
                r#"{"tools":[],"ttlMs":10000,"cacheScope":"private"}"#,
            ),
            (
                r#"{"tools":[],"ttlMs":[1],"cacheScope":{"a":1}}"#,
                private,
                r#"{"tools":[],"ttlMs":10000,"cacheScope":"private"}"#,
            ),
            (r#"{"tools":[],"ttlMs":10000.0}"#, private, r#"{"tools":[],"ttlMs":10000.0}"#),
            (r#"{"tools":[],"ttlMs":10000.5}"#, private, r#"{"tools":[],"ttlMs":10000}"#),
            (r#"{"tools":[],"ttlMs":1e400}"#, private, r#"{"tools":[],"ttlMs":10000}"#),
            (r#"{"tools":[],"cacheScope":"Private"}"#, private, r#"{"tools":[],"cacheScope":"private"}"#),
            (
                r#"{"resultType":"complete","tools":[],"cacheScope":"public","ttlMs":1}"#,
                ListOptions::default(),
                r#"{"resultType":"complete","tools":[],"cacheScope":"public","ttlMs":1}"#,
            ),
        ] {
            let line = |result: &str| format!(r#"{{"id":1,"result":{result}}}"#);
            assert_eq!(cut(&line(result), &["a"], options), Ok(line(expected)), "{result}");
        }
    }

    #[test]
    fn refuses_lists_with_two_readings() {
        let private = ListOptions { private_cache: true, ..ListOptions::default() };
        for line in [
            r#"{"id":1,"result":{},"result":{"tools":[]}}"#,
            r#"{"id":1,"Result":{},"result":{"tools":[]}}"#,
            r#"{"id":1,"result":{"tools":[]},"error":{}}"#,
            r#"{"id":1,"result":{"tools":[],"tools":[]}}"#,
            r#"{"id":1,"result":{"tools":[],"Tools":[]}}"#,
            r#"{"id":1,"result":{"Tools":[{"name":"a"}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"a","name":"b"}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"b","na\u006de":"a"}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"b","NAME":"a"}]}}"#,
            r#"{"id":1,"result":{"tools":[],"ttlMs":1,"ttlMs":2}}"#,
            r#"{"id":1,"result":{"tools":[],"ttlMs":1,"TTLMS":2}}"#,
            r#"{"id":1,"result":{"cacheScope":"private","tools":[],"cacheScope":"public"}}"#,
        ] {
            assert!(matches!(cut(line, &["a"], private), Err(ListError::Ambiguous(_))), "{line}");
        }
        for line in [
            r#"{"id":1,"result":{"tools":{}}}"#,
            r#"{"id":1,"result":{"tools":null}}"#,
            r#"{"id":1,"result":{"tools":[1]}}"#,
            r#"{"id":1,"result":{"tools":[{}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":1}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"\ud800"}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"a"},]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"a","x":NaN}]}}"#,
            r#"{"id":1,"result":{"tools":[]}"#,
            r#"{"id":1,"result":{"tools":[]}}{}"#,
            r#"[{"id":1,"result":{"tools":[]}}]"#,
            "",
        ] {
            assert!(matches!(cut(line, &["a"], private), Err(ListError::Unreadable(_))), "{line}");
        }
        let not_utf8 = [br#"{"id":1,"result":{"tools":[],"x":""#.as_slice(), b"\xff\"}}"].concat();
        assert!(cut_tools(&not_utf8, &|_| true, &private).is_err());
        let small = ListOptions { max_message: 10, ..private };
        assert_eq!(cut(&plain("[]"), &[], small), Err(ListError::TooLarge(10)));
    }
}
