//! What must hold of every text, valid or not: the body of the fuzz target and of a property test.

use super::{read, run};
use crate::policy::compiled::Compiled;
use crate::policy::diagnostic::Severity;
use crate::policy::document::Document;

/// Has a little of everything that a test can meet.
const POLICY: &str = r#"{"version":"1","default":"deny","hide":["h"],"all_tools":{"limits":[{"counter":"all","window":"day","max":50}]},
    "tools":{"t":{},"n":{"deny_if":[{"conditions":[{"path":"args.n","op":"gt","value":5}]}]},
    "a":{"approve_if":[{"conditions":[{"path":"args.xs[*].y","op":"exists","value":true}]}]},
    "l":{"limits":[{"counter":"l","window":"minute","max":2,"scope":"session"}]}}}"#;

/// Reads a text as policy tests and runs them, and asserts what must hold of the answers.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(text: &str) {
    let parsed = read(text);
    for found in &parsed.diagnostics {
        assert!(!found.message.is_empty(), "{found:?}");
        assert!(found.span.start <= found.span.end && found.span.end <= text.len(), "{found:?}");
        assert_eq!(
            (found.line, found.column),
            crate::json::line_column(text, found.span.start),
            "a diagnostic says where it stands"
        );
    }
    let faulty = parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(parsed.cases.is_none(), faulty, "tests, or an error that says why there are none");
    let Some(cases) = parsed.cases else { return };
    let Some(policy) =
        Document::parse(POLICY).valid().ok().and_then(|document| Compiled::new(&document).ok())
    else {
        unreachable!("the policy is a constant and valid");
    };
    let report = run(&policy, &cases);
    assert_eq!(report.tests.len(), cases.tests.len(), "every test has a result");
    assert_eq!(
        format!("{:?}", run(&policy, &cases)),
        format!("{report:?}"),
        "no test depends on another run"
    );
}
