//! What a candidate policy would have decided, beside the one that is enforced.
//!
//! Its limits count on counters of its own, in memory: never on those that the enforced policy's
//! limits count on. A call counts there whenever the candidate would have let it pass, whatever was
//! really decided and whether or not it ran; one that it would have held for a person's approval
//! counts nothing, because nobody was asked. Freezes, overrides and drift hold for it as for any
//! policy, but it takes no use of an override.

use super::compiled::Compiled;
use super::counter::{Caller, Reserved, Want};
use super::decide::{Call, Circumstances, Denial, Verdict};
use super::explain::Decision;
use super::memory::MemoryCounters;
use crate::time::Timestamp;

/// What the candidate would have decided about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Its decision.
    pub decision: Decision,
    /// The short code of its rule; empty when nothing fired.
    pub rule: String,
    /// The exact pointer into its document.
    pub pointer: Option<String>,
}

impl From<Denial> for Opinion {
    fn from(denial: Denial) -> Self {
        Self { decision: Decision::Deny, rule: denial.rule, pointer: denial.pointer }
    }
}

/// Decides a call by a candidate policy, on counters of its own.
pub fn opinion(
    candidate: &Compiled,
    counters: &mut MemoryCounters,
    caller: &Caller<'_>,
    call: &Call<'_>,
    circumstances: &Circumstances<'_>,
    now: Timestamp,
) -> Opinion {
    let (charges, approval, past_max, rule, pointer) = match candidate.decide(call, circumstances) {
        Verdict::Deny(denial) => return denial.into(),
        Verdict::Allow { charges, approval, past_max, rule, pointer } => {
            (charges, approval, past_max, rule, pointer)
        }
    };
    let wants: Vec<Want> = charges.iter().map(|charge| charge.want(caller, past_max)).collect();
    let usages = match (&approval, wants.is_empty()) {
        (_, true) => Vec::new(),
        (Some(_), false) => counters.peek(now, &wants),
        (None, false) => match counters.reserve(now, &wants) {
            Reserved::Done { .. } => Vec::new(),
            Reserved::Full { usages } => usages,
        },
    };
    let full = charges.iter().zip(&usages).find(|(_, usage)| !usage.room);
    if let Some((charge, _)) = full {
        return Denial::limit(&charge.limit).into();
    }
    match approval {
        Some(need) => Opinion { decision: Decision::Approve, rule: need.rule, pointer: Some(need.pointer) },
        None => Opinion { decision: Decision::Allow, rule, pointer },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::decide::{Listed, Override};
    use crate::policy::document::Document;

    const CANDIDATE: &str = r#"{
      "version": "1", "default": "deny", "hide": ["secret"],
      "tools": {
        "free": {},
        "rated": {"limits": [{"counter": "c", "window": "minute", "max": 2}]},
        "asked": {"limits": [{"counter": "c", "window": "minute", "max": 2}], "approve_if": [{"conditions": []}]},
        "never": {"deny_if": [{"conditions": []}]}
      }
    }"#;

    fn compiled() -> Compiled {
        Compiled::new(&Document::parse(CANDIDATE).valid().unwrap()).unwrap()
    }

    #[test]
    fn every_way_of_deciding_has_its_word() {
        let (candidate, mut counters) = (compiled(), MemoryCounters::new());
        let caller = Caller { server: "s", grant: "g", session: None };
        let mut ask = |tool: &str, circumstances: &Circumstances<'_>, now: i64| {
            let call = Call { tool, arguments: None };
            let said = opinion(&candidate, &mut counters, &caller, &call, circumstances, Timestamp(now));
            (said.decision, said.rule, said.pointer.unwrap_or_default())
        };
        let plain = Circumstances::default();
        let is = |decision, rule: &str, pointer: &str| (decision, rule.to_owned(), pointer.to_owned());
        assert_eq!(ask("free", &plain, 0), is(Decision::Allow, "", "/tools/free"));
        assert_eq!(ask("other", &plain, 0), is(Decision::Deny, "(default deny)", "/default"));
        assert_eq!(ask("secret", &plain, 0), is(Decision::Deny, "(hidden)", "/hide/0"));
        let never = is(Decision::Deny, "/tools/never/deny_if/0", "/tools/never/deny_if/0");
        assert_eq!(ask("never", &plain, 0), never);
        // One that would be held counts nothing; one that would pass does.
        let asked = is(Decision::Approve, "/tools/asked/approve_if/0", "/tools/asked/approve_if/0");
        for _ in 0..3 {
            assert_eq!(ask("asked", &plain, 0), asked);
        }
        let passes = is(Decision::Allow, "", "/tools/rated");
        assert_eq!(ask("rated", &plain, 0), passes);
        assert_eq!(ask("rated", &plain, 0), passes);
        let full = |tool: &str| {
            is(Decision::Deny, &format!("/tools/{tool}/limits/c"), &format!("/tools/{tool}/limits/0"))
        };
        assert_eq!(ask("rated", &plain, 0), full("rated"));
        assert_eq!(ask("asked", &plain, 0), full("asked"));
        let allow = Circumstances { overridden: Some(Override::Allow), ..plain.clone() };
        assert_eq!(ask("rated", &allow, 0), is(Decision::Allow, "(override)", ""));
        assert_eq!(ask("rated", &plain, 60_000_000), passes, "another window");
        for (circumstances, rule) in [
            (Circumstances { frozen: Some("why"), ..plain.clone() }, "(frozen)"),
            (Circumstances { drifted: true, ..plain.clone() }, "(drift)"),
            (Circumstances { overridden: Some(Override::Deny("")), ..plain.clone() }, "(override)"),
        ] {
            assert_eq!(ask("free", &circumstances, 0), is(Decision::Deny, rule, ""));
        }
        let gone = Circumstances { listed: Listed::No, ..plain };
        assert_eq!(ask("free", &gone, 0).0, Decision::Allow);
    }
}
