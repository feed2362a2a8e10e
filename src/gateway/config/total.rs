//! What must hold of every text, valid or not: the body of the fuzz target and of a property test.

use std::path::Path;

use super::{Difference, parse};
use crate::policy::diagnostic::Severity;

/// Reads a text as a gateway.json whose variables are all set to their own names, and asserts what
/// must hold of the answer.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(text: &[u8]) {
    let env = |name: &str| Some(name.to_owned());
    let parsed = parse(text, Path::new("/etc/gate"), &env);
    let lossy = String::from_utf8_lossy(text);
    for found in &parsed.diagnostics {
        assert!(found.line >= 1 && found.column >= 1 && !found.message.is_empty(), "{found:?}");
        assert!(found.span.start <= found.span.end && found.span.end <= lossy.len(), "{found:?}");
    }
    let faulty = parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(parsed.config.is_none(), faulty, "a configuration is in force, or an error says why not");
    let Some(config) = parsed.config else { return };
    for grant in config.grants.iter() {
        assert!(config.server(&grant.server).is_some(), "a grant is for a server that is there: {grant:?}");
        assert!(grant.policy.is_absolute(), "paths are ready to use: {grant:?}");
    }
    assert!(Difference::between(&config, &config).is_empty(), "nothing differs from itself");
    assert_eq!(
        parse(text, Path::new("/etc/gate"), &env).config,
        Some(config),
        "the same text, the same meaning"
    );
}
