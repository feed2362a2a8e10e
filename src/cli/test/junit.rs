//! Test results as `JUnit`'s XML.

use std::fmt::Write as _;
use std::path::Path;

use super::differences;
use crate::replay::cases::Report;
use crate::visible::visible;

/// The whole document. Times are left out: nothing here takes any.
pub(super) fn xml(report: &Report, policy: &Path, cases: &Path) -> String {
    let policy = escape(&policy.display().to_string());
    let file = escape(&cases.display().to_string());
    let counts = format!("tests=\"{}\" failures=\"{}\" errors=\"0\"", report.tests.len(), report.failed);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites {counts}>\n  <testsuite name=\"{policy}\" {counts}>");
    for test in &report.tests {
        let name = escape(&test.name);
        let line = test.failure.as_ref().map_or(test.line, |failure| failure.line);
        let _ = write!(
            out,
            "    <testcase classname=\"{policy}\" name=\"{name}\" file=\"{file}\" line=\"{line}\""
        );
        let Some(failure) = &test.failure else {
            out.push_str("/>\n");
            continue;
        };
        let differences = differences(failure);
        let explained = &failure.explanation;
        let mut body = differences.clone();
        body.push(format!(
            "decided by {}",
            visible(decided_by(&explained.rule, explained.pointer.as_deref()))
        ));
        for step in explained.trace.iter().filter(|step| step.decided) {
            body.push(visible(&step.why).into_owned());
            for condition in &step.conditions {
                body.push(format!(
                    "  {} {} {}: {}",
                    visible(&condition.path),
                    condition.op,
                    visible(&condition.value),
                    condition.outcome.name()
                ));
            }
        }
        let _ = writeln!(
            out,
            ">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>",
            failure.differences.first().map_or("decision", |found| found.what),
            escape(&differences.join("; ")),
            body.iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n")
        );
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn decided_by<'r>(rule: &'r str, pointer: Option<&'r str>) -> &'r str {
    match pointer {
        Some(pointer) => pointer,
        None if rule.is_empty() => "nothing",
        None => rule,
    }
}

/// Text for an attribute or an element: visible, so that it holds nothing XML forbids, and with the
/// five characters that XML reads itself written as entities.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compiled::Compiled;
    use crate::policy::document::Document;
    use crate::replay::cases;

    #[test]
    fn hostile_names_stay_text() {
        let policy = r#"{"version":"1","default":"deny","tools":{"a<b":{}}}"#;
        let compiled = Compiled::new(&Document::parse(policy).valid().unwrap()).unwrap();
        let tests = r#"{"tests":[
            {"name":"fine & \"well\"","tool":"a<b","expect":"allow"},
            {"name":"]]></failure>\u0000\u001b[2J\ufffe","tool":"no","expect":{"decision":"allow"}}]}"#;
        let report = cases::run(&compiled, &cases::read(tests).cases.unwrap());
        assert_eq!(
            xml(&report, Path::new("p&q.json"), Path::new("t.json")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\" errors=\"0\">\n  \
             <testsuite name=\"p&amp;q.json\" tests=\"2\" failures=\"1\" errors=\"0\">\n    \
             <testcase classname=\"p&amp;q.json\" name=\"fine &amp; &quot;well&quot;\" file=\"t.json\" line=\"2\"/>\n    \
             <testcase classname=\"p&amp;q.json\" name=\"]]&gt;&lt;/failure&gt;\\u{0}\\u{1b}[2J\\u{fffe}\" file=\"t.json\" line=\"3\">\n      \
             <failure type=\"decision\" message=\"decision: want allow, got deny\">decision: want allow, got deny\n\
             decided by /default\n\
             the policy does not list the tool, and `default` is `deny`</failure>\n    </testcase>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
