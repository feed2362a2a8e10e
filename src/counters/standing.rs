//! Which freeze and which override apply to a call: worked out here for gateways and for `explain`.

use super::{Freeze, Override, OverrideEffect, Standing};
use crate::policy::decide;
use crate::time::Timestamp;

impl Standing {
    /// Leaves out the overrides that another gateway run than this one heeds.
    pub fn keep_run(&mut self, run: Option<&str>) {
        self.overrides.retain(|entry| entry.run.is_none() || entry.run.as_deref() == run);
    }

    /// The freeze in whose scope a call lies.
    pub fn frozen(&self, server: &str, grant: &str, tool: &str, now: Timestamp) -> Option<&Freeze> {
        self.freezes.iter().find(|freeze| freeze.covers(server, grant, tool, now))
    }

    /// The override that applies to a call of a server, by a grant, of a tool: a deny before any
    /// other, then an allow, then an approval. `digest` gives the SHA-256 of the call's canonical
    /// arguments, nothing where they have none; it is asked only where an override is bound to them. `spent` are ids that turned
    /// out to be used up.
    pub fn overriding(
        &self,
        (server, grant, tool): (&str, &str, &str),
        now: Timestamp,
        spent: &[String],
        digest: &dyn Fn() -> String,
    ) -> Option<&Override> {
        let applies = |entry: &&Override| {
            entry.server == server
                && entry.tool == tool
                && entry.grant.as_deref().is_none_or(|label| label == grant)
                && entry.stands(now)
                && !spent.contains(&entry.id)
                && entry
                    .args_sha256
                    .as_ref()
                    .is_none_or(|bound| !bound.is_empty() && bound.eq_ignore_ascii_case(&digest()))
        };
        let rank = |entry: &&Override| match entry.effect {
            OverrideEffect::Deny => 0,
            OverrideEffect::Allow => 1,
            OverrideEffect::Approved => 2,
        };
        self.overrides.iter().filter(applies).min_by_key(rank)
    }
}

impl Override {
    /// What it means for a decision.
    pub fn effect_on_decision(&self) -> decide::Override<'_> {
        match self.effect {
            OverrideEffect::Deny => decide::Override::Deny(&self.reason),
            OverrideEffect::Allow => decide::Override::Allow,
            OverrideEffect::Approved => decide::Override::Approved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, effect: OverrideEffect) -> Override {
        Override {
            id: id.to_owned(),
            effect,
            server: "s".to_owned(),
            grant: None,
            tool: "t".to_owned(),
            args_sha256: None,
            until: None,
            uses: None,
            run: None,
            by: "me".to_owned(),
            at: Timestamp(0),
            reason: String::new(),
        }
    }

    #[test]
    fn a_deny_wins_and_scopes_hold() {
        let mut standing = Standing::default();
        standing.overrides.push(entry("approved", OverrideEffect::Approved));
        standing.overrides.push(entry("allow", OverrideEffect::Allow));
        let find = |standing: &Standing, call: (&str, &str, &str), now: i64, spent: &[String]| {
            standing
                .overriding(call, Timestamp(now), spent, &|| "d1".to_owned())
                .map(|entry| entry.id.clone())
        };
        let call = ("s", "g", "t");
        assert_eq!(find(&standing, call, 0, &[]).as_deref(), Some("allow"));
        assert_eq!(find(&standing, call, 0, &["allow".to_owned()]).as_deref(), Some("approved"));
        standing.overrides.push(entry("deny", OverrideEffect::Deny));
        assert_eq!(find(&standing, call, 0, &[]).as_deref(), Some("deny"));
        for other in [("x", "g", "t"), ("s", "g", "x")] {
            assert_eq!(find(&standing, other, 0, &[]), None);
        }
        standing.overrides.truncate(2);
        standing.overrides[1].until = Some(Timestamp(10));
        standing.overrides[0].args_sha256 = Some("D1".to_owned());
        assert_eq!(find(&standing, call, 9, &[]).as_deref(), Some("allow"));
        assert_eq!(find(&standing, call, 10, &[]).as_deref(), Some("approved"));
        standing.overrides[0].args_sha256 = Some("d2".to_owned());
        assert_eq!(find(&standing, call, 10, &[]), None);
        standing.overrides[1] = Override { uses: Some(0), ..entry("used", OverrideEffect::Allow) };
        assert_eq!(find(&standing, call, 0, &[]), None);
        standing.overrides[1] = Override { run: Some("r".to_owned()), ..entry("run", OverrideEffect::Allow) };
        standing.keep_run(Some("r"));
        assert_eq!(find(&standing, call, 0, &[]).as_deref(), Some("run"));
        standing.keep_run(None);
        assert_eq!(find(&standing, call, 0, &[]), None);
    }
}
