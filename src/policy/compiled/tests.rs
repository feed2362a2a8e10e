use super::super::decide::{Call, Circumstances, Denial, Listed, Override, Verdict};
use super::*;
use crate::json;

fn compiled(text: &str) -> Compiled {
    Compiled::new(&Document::parse(text).valid().unwrap()).unwrap()
}

fn policy(rest: &str) -> Compiled {
    compiled(&format!(r#"{{"version":"1",{rest}}}"#))
}

/// A policy with one tool `t`.
fn tool(entry: &str) -> Compiled {
    policy(&format!(r#""default":"deny","tools":{{"t":{entry}}}"#))
}

fn decide_in(policy: &Compiled, tool: &str, arguments: &str, circumstances: &Circumstances<'_>) -> Verdict {
    let parsed = json::parse(arguments).unwrap();
    policy.decide(&Call { tool, arguments: Some(&parsed.root) }, circumstances)
}

fn decide(policy: &Compiled, tool: &str, arguments: &str) -> Verdict {
    decide_in(policy, tool, arguments, &Circumstances::default())
}

fn denial(verdict: Verdict) -> Denial {
    match verdict {
        Verdict::Deny(denial) => denial,
        Verdict::Allow { .. } => panic!("allowed: {verdict:?}"),
    }
}

/// Rule, pointer and message of a denial.
fn denied(policy: &Compiled, tool: &str, arguments: &str) -> (String, String, String) {
    let denial = denial(decide(policy, tool, arguments));
    (denial.rule, denial.pointer.unwrap_or_default(), denial.message)
}

fn allowed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allow { .. })
}

#[test]
fn every_code_pointer_and_message() {
    let p = compiled(
        r#"{"version":"1","default":"deny","hide":["a","h/1"],"tools":{
            "plain":{},
            "h/1":{},
            "sh":{"action":"hide"},
            "no":{"action":"deny"},
            "why":{"action":"deny","reason":"Because."},
            "never":{"deny_if":[{"conditions":[]}]},
            "never2":{"deny_if":[{"conditions":[],"on_deny":"Requires human approval."}]},
            "a/b~c":{"deny_if":[
                {"conditions":[{"path":"args.x","op":"eq","value":1}]},
                {"conditions":[{"path":"args.p/q~r","op":"gt","value":100},{"path":"args.y","op":"eq","value":1}],"on_deny":"Too much."}]},
            "req":{"require":[
                {"conditions":[{"path":"args.a\\.b[*].0","op":"in","value":["x"]}]},
                {"conditions":[{"path":"args.cmd","op":"regex","value":"^ls$"}],"on_deny":"Only ls."}]},
            "inc":{"limits":[
                {"counter":"n","window":"day","max":5},
                {"counter":"sum/total","window":"hour","max":100.5,"scope":"server","increment_from":"args.amount"}]}
        }}"#,
    );
    for (tool, arguments, rule, pointer, message) in [
        ("a", "{}", "(hidden)", "/hide/0", "Tool a is not permitted by policy"),
        ("h/1", "{}", "(hidden)", "/hide/1", "Tool h/1 is not permitted by policy"),
        ("sh", "{}", "(hidden)", "/tools/sh/action", "Tool sh is not permitted by policy"),
        ("gone", "{}", "(default deny)", "/default", "Tool gone is not permitted by policy"),
        ("Plain", "{}", "(default deny)", "/default", "Tool Plain is not permitted by policy"),
        ("plain", "[]", "(malformed)", "", "`arguments` must be an object, not an array"),
        ("plain", "\"{}\"", "(malformed)", "", "`arguments` must be an object, not a string"),
        ("no", "{}", "/tools/no/action", "/tools/no/action", "Tool no is not permitted by policy"),
        ("why", "{}", "/tools/why/action", "/tools/why/action", "Because."),
        (
            "never",
            "{}",
            "/tools/never/deny_if/0",
            "/tools/never/deny_if/0",
            "Tool never is not permitted by policy",
        ),
        ("never2", "null", "/tools/never2/deny_if/0", "/tools/never2/deny_if/0", "Requires human approval."),
        (
            "a/b~c",
            r#"{"x":1.0}"#,
            "/tools/a~1b~0c/deny_if/args.x-eq",
            "/tools/a~1b~0c/deny_if/0",
            "Argument rule of a/b~c not met",
        ),
        (
            "a/b~c",
            r#"{"p/q~r":100.5,"y":1}"#,
            "/tools/a~1b~0c/deny_if/args.p~1q~0r-gt",
            "/tools/a~1b~0c/deny_if/1",
            "Too much.",
        ),
        (
            "a/b~c",
            r#"{"p/q~r":"100","y":1}"#,
            "/tools/a~1b~0c/deny_if/args.p~1q~0r-gt",
            "/tools/a~1b~0c/deny_if/1",
            "Too much. (args.p/q~r is a string, a number is needed)",
        ),
        (
            "req",
            r#"{"a.b":[["x"],["y"]],"cmd":"ls"}"#,
            r"/tools/req/require/args.a\.b[*].0-in",
            "/tools/req/require/0",
            "Argument rule of req not met",
        ),
        (
            "req",
            r#"{"a.b":[["x"],7],"cmd":"ls"}"#,
            r"/tools/req/require/args.a\.b[*].0-in",
            "/tools/req/require/0",
            r"Argument rule of req not met (args.a\.b.1 is a number, an array or an object is needed)",
        ),
        (
            "req",
            r#"{"a.b":[["x"]],"cmd":"ls -l"}"#,
            "/tools/req/require/args.cmd-regex",
            "/tools/req/require/1",
            "Only ls.",
        ),
        (
            "inc",
            "{}",
            "/tools/inc/limits/sum~1total",
            "/tools/inc/limits/1",
            "Limit sum/total cannot be counted (args.amount is missing, a number is needed)",
        ),
        (
            "inc",
            r#"{"amount":-0.01}"#,
            "/tools/inc/limits/sum~1total",
            "/tools/inc/limits/1",
            "Limit sum/total cannot be counted (args.amount is negative)",
        ),
        (
            "inc",
            r#"{"amount":1e40}"#,
            "/tools/inc/limits/sum~1total",
            "/tools/inc/limits/1",
            "Limit sum/total cannot be counted (args.amount is too large to count)",
        ),
        (
            "inc",
            r#"{"amount":1,"Amount":2}"#,
            "/tools/inc/limits/sum~1total",
            "/tools/inc/limits/1",
            "Limit sum/total cannot be counted (args.amount has a twin whose name differs only in case)",
        ),
    ] {
        let wanted = (rule.to_owned(), pointer.to_owned(), message.to_owned());
        assert_eq!(denied(&p, tool, arguments), wanted, "{tool} {arguments}");
    }
    let Verdict::Allow { rule, pointer, approval, charges, past_max } = decide(&p, "plain", "null") else {
        panic!("denied")
    };
    assert_eq!((rule.as_str(), pointer.as_deref()), ("", Some("/tools/plain")));
    assert!(approval.is_none() && charges.is_empty() && !past_max);
    let open = policy(r#""default":"allow""#);
    let Verdict::Allow { pointer, .. } =
        open.decide(&Call { tool: "any", arguments: None }, &Circumstances::default())
    else {
        panic!("denied")
    };
    assert_eq!(pointer.as_deref(), Some("/default"));
}

#[test]
fn limits_stand_in_their_order_with_their_messages() {
    let p = compiled(
        r#"{"version":"1","default":"allow","all_tools":{"limits":[{"counter":"all/calls","window":3600,"max":1000,"scope":"session"}]},
            "tools":{"t/1":{"rate_limit":{"max":10,"window":90},"limits":[
                {"counter":"a","window":"minute","max":30},
                {"counter":"b","window":"day","max":0.50,"increment_from":"args.x","on_deny":"Enough."}]}}}"#,
    );
    let limits: Vec<_> = p
        .limits("t/1")
        .map(|limit| (limit.rule.as_str(), limit.pointer.as_str(), limit.message.as_str(), limit.scope))
        .collect();
    assert_eq!(
        limits,
        [
            ("/tools/t~11/limits/a", "/tools/t~11/limits/0", "Limit a reached: 30 a minute", Scope::Grant),
            ("/tools/t~11/limits/b", "/tools/t~11/limits/1", "Enough.", Scope::Grant),
            (
                "/tools/t~11/limits/t~11_rate",
                "/tools/t~11/rate_limit",
                "Limit t/1_rate reached: 10 in 90 s",
                Scope::Grant
            ),
            (
                "/all_tools/limits/all~1calls",
                "/all_tools/limits/0",
                "Limit all/calls reached: 1000 an hour",
                Scope::Session
            ),
        ]
    );
    assert_eq!(p.limits("other").count(), 1);
    let Verdict::Allow { charges, .. } = decide(&p, "t/1", r#"{"x":0.2500001}"#) else { panic!("denied") };
    let counted: Vec<_> =
        charges.iter().map(|charge| (charge.limit.counter.as_str(), charge.increment.to_string())).collect();
    assert_eq!(
        counted,
        [
            ("a", "1".to_owned()),
            ("b", "0.250001".to_owned()),
            ("t/1_rate", "1".to_owned()),
            ("all/calls", "1".to_owned())
        ]
    );
    let message = denied(&p, "t/1", "{}").2;
    assert_eq!(message, "Enough. (args.x is missing, a number is needed)");
    assert_eq!(Denial::limit(&charges[0].limit).message, "Limit a reached: 30 a minute");
}

#[test]
fn amounts_of_elements_are_added_up_and_none_is_passed_over() {
    let p = tool(r#"{"limits":[{"counter":"c","window":"day","max":9,"increment_from":"args.items[*].n"}]}"#);
    let Verdict::Allow { charges, .. } = decide(&p, "t", r#"{"items":[{"n":1.5},{"n":2}]}"#) else {
        panic!("denied")
    };
    assert_eq!(charges[0].increment.to_string(), "3.5");
    for arguments in [
        r#"{"items":[]}"#,
        r#"{"items":[{"n":1},{}]}"#,
        r#"{"items":[{"n":1},{"n":"2"}]}"#,
        r#"{"items":[{"n":5},{"n":-4}]}"#,
        r#"{"items":[{"n":5,"N":1}]}"#,
        r#"{"items":[{"n":null}]}"#,
        r#"{"items":{"n":1}}"#,
        r#"{"items":[{"n":1e99999999999999999999}]}"#,
    ] {
        assert!(!allowed(&decide(&p, "t", arguments)), "{arguments}");
    }
}

#[test]
fn the_order_of_the_steps() {
    let all = compiled(
        r#"{"version":"1","default":"deny","hide":["hidden"],"tools":{
            "denied":{"action":"deny","require":[{"conditions":[{"path":"args.x","op":"eq","value":1}]}]},
            "ruled":{"require":[{"conditions":[{"path":"args.x","op":"eq","value":1}]}],"deny_if":[{"conditions":[]}]},
            "counted":{"limits":[{"counter":"c","window":"day","max":1,"increment_from":"args.n"}],"approve_if":[{"conditions":[]}]}}}"#,
    );
    let everything = Circumstances {
        frozen: Some("incident"),
        listed: Listed::Yes,
        overridden: Some(Override::Deny("not now")),
        drifted: true,
    };
    let rule = |tool: &str, arguments: &str, circumstances: &Circumstances<'_>| match decide_in(
        &all,
        tool,
        arguments,
        circumstances,
    ) {
        Verdict::Deny(denial) => denial.rule,
        Verdict::Allow { approval, .. } => approval.map_or("allow".to_owned(), |need| need.rule),
    };
    // Each circumstance is taken away in turn, and the next step decides.
    assert_eq!(rule("hidden", "[]", &everything), "(malformed)");
    assert_eq!(rule("hidden", "{}", &everything), "(frozen)");
    let thawed = Circumstances { frozen: None, ..everything.clone() };
    assert_eq!(rule("hidden", "{}", &thawed), "(hidden)");
    assert_eq!(rule("unlisted", "{}", &thawed), "(override)");
    let free = Circumstances { overridden: None, ..thawed.clone() };
    assert_eq!(rule("unlisted", "{}", &free), "(default deny)");
    assert_eq!(rule("denied", "{}", &free), "/tools/denied/action");
    assert_eq!(rule("ruled", "{}", &free), "/tools/ruled/require/args.x-eq");
    assert_eq!(rule("ruled", r#"{"x":1}"#, &free), "/tools/ruled/deny_if/0");
    assert_eq!(rule("counted", "{}", &free), "(drift)");
    let pinned = Circumstances { drifted: false, ..free.clone() };
    assert_eq!(rule("counted", "{}", &pinned), "/tools/counted/limits/c");
    assert_eq!(rule("counted", r#"{"n":1}"#, &pinned), "/tools/counted/approve_if/0");
    let frozen = denial(decide_in(&all, "counted", "{}", &everything));
    assert_eq!((frozen.message.as_str(), frozen.pointer), ("Frozen: incident", None));
    let overridden = denial(decide_in(&all, "counted", "{}", &thawed));
    assert_eq!(overridden.message, "Tool counted is not permitted by policy: not now");
}

#[test]
fn overrides_skip_what_they_say() {
    let p = compiled(
        r#"{"version":"1","default":"deny","hide":["hidden"],"all_tools":{"limits":[{"counter":"all","window":"day","max":1}]},"tools":{
            "t":{"action":"deny","limits":[{"counter":"c","window":"day","max":1,"increment_from":"args.n"}]},
            "held":{"approve_if":[{"conditions":[]}]}}}"#,
    );
    let with = |overridden| Circumstances {
        overridden: Some(overridden),
        drifted: true,
        ..Circumstances::default()
    };
    for (tool, arguments, counters) in
        [("t", r#"{"n":2}"#, &["c", "all"][..]), ("t", "{}", &["all"]), ("unlisted", "{}", &["all"])]
    {
        let Verdict::Allow { charges, approval, past_max, rule, pointer } =
            decide_in(&p, tool, arguments, &with(Override::Allow))
        else {
            panic!("{tool} denied")
        };
        let names: Vec<_> = charges.iter().map(|charge| charge.limit.counter.as_str()).collect();
        assert_eq!(names, counters, "{tool} {arguments}");
        assert!(past_max && approval.is_none() && pointer.is_none());
        assert_eq!(rule, "(override)");
    }
    // Never what stands before step 6.
    assert_eq!(denial(decide_in(&p, "hidden", "{}", &with(Override::Allow))).rule, "(hidden)");
    assert_eq!(denial(decide_in(&p, "t", "[]", &with(Override::Allow))).rule, "(malformed)");
    let frozen = Circumstances { frozen: Some("x"), ..with(Override::Allow) };
    assert_eq!(denial(decide_in(&p, "t", "{}", &frozen)).rule, "(frozen)");
    // `approved` skips the approval alone.
    let approved = Circumstances { drifted: false, ..with(Override::Approved) };
    let Verdict::Allow { approval, past_max, rule, pointer, .. } = decide_in(&p, "held", "{}", &approved)
    else {
        panic!("denied")
    };
    assert_eq!((approval, past_max, rule.as_str()), (None, false, "(override)"));
    assert_eq!(pointer.as_deref(), Some("/tools/held"));
    assert_eq!(denial(decide_in(&p, "t", "{}", &approved)).rule, "/tools/t/action");
    assert_eq!(denial(decide_in(&p, "held", "{}", &with(Override::Approved))).rule, "(drift)");
}

#[test]
fn hidden_is_unknown_whatever_denied_it() {
    let p = compiled(
        r#"{"version":"1","default":"deny","hide":["h"],"tools":{"h":{},"x":{"action":"hide"},"t":{"action":"deny"}}}"#,
    );
    let frozen = Circumstances { frozen: Some("x"), ..Circumstances::default() };
    for (tool, arguments, circumstances, rule, visible) in [
        ("h", "{}", &frozen, "(frozen)", false),
        ("x", "{}", &frozen, "(frozen)", false),
        ("h", "[]", &frozen, "(malformed)", false),
        ("t", "{}", &frozen, "(frozen)", true),
        ("none", "{}", &frozen, "(frozen)", true),
    ] {
        let denial = denial(decide_in(&p, tool, arguments, circumstances));
        assert_eq!((denial.rule.as_str(), denial.visible), (rule, visible), "{tool}");
    }
    // Under `default: deny` a name that no list had does not exist either.
    for (listed, visible) in [(Listed::Unknown, true), (Listed::Yes, true), (Listed::No, false)] {
        let circumstances = Circumstances { listed, ..Circumstances::default() };
        for tool in ["none", "t"] {
            assert_eq!(
                denial(decide_in(&p, tool, "{}", &circumstances)).visible,
                visible,
                "{tool} {listed:?}"
            );
        }
    }
    let open = policy(r#""default":"allow","tools":{"t":{"action":"deny"}}"#);
    let unlisted = Circumstances { listed: Listed::No, ..Circumstances::default() };
    assert!(denial(decide_in(&open, "t", "{}", &unlisted)).visible);
}

#[test]
fn what_is_shown() {
    let all = policy(r#""default":"allow","hide":["*"],"tools":{"t":{}}"#);
    assert!(!all.visible("t") && !all.visible("x") && all.hides_anything());
    assert_eq!(denied(&all, "t", "{}").0, "(hidden)");
    assert_eq!(denied(&all, "t", "{}").1, "/hide/0");

    let rest = r#""tools":{"t":{},"d":{"action":"deny"},"n":{"deny_if":[{"conditions":[{"path":"args.x","op":"exists","value":true}]},{"conditions":[]}]},
        "some":{"deny_if":[{"conditions":[{"path":"args.x","op":"exists","value":true}]}]}}"#;
    for (default, hide_denied, shown, hides) in [
        ("deny", false, &["t", "d", "n", "some", "x"][..], false),
        ("deny", true, &["t", "some"], true),
        ("allow", true, &["t", "some", "x"], true),
        ("allow", false, &["t", "d", "n", "some", "x"], false),
    ] {
        let p = policy(&format!(r#""default":"{default}","hide_denied":{hide_denied},{rest}"#));
        let seen: Vec<_> = ["t", "d", "n", "some", "x"].into_iter().filter(|tool| p.visible(tool)).collect();
        assert_eq!(seen, shown, "{default} {hide_denied}");
        assert_eq!(p.hides_anything(), hides, "{default} {hide_denied}");
    }
    // The rule that denied is recorded, and the answer is that of an unknown tool.
    let p = policy(&format!(r#""default":"deny","hide_denied":true,{rest}"#));
    for (tool, rule) in [("x", "(default deny)"), ("d", "/tools/d/action"), ("n", "/tools/n/deny_if/1")] {
        let denial = denial(decide(&p, tool, "{}"));
        assert_eq!((denial.rule.as_str(), denial.visible), (rule, false));
    }
    assert!(denial(decide(&p, "some", r#"{"x":1}"#)).visible);
    assert!(!policy(r#""default":"allow","hide_denied":true"#).hides_anything());
    assert!(policy(r#""default":"allow","tools":{"t":{"action":"hide"}}"#).hides_anything());
}

#[test]
fn approvals_name_their_rule() {
    let p = compiled(
        r#"{"version":"1","default":"deny","tools":{
            "act":{"action":"approve","reason":"Ask me."},
            "plain":{"action":"approve","approve_if":[{"conditions":[],"on_approve":"never reached"}]},
            "rule":{"approve_if":[
                {"conditions":[{"path":"args.n","op":"gt","value":5}],"on_approve":"More than 5?","timeout":"90s"},
                {"conditions":[{"path":"args.to[*]","op":"regex","value":"@x$"}]}]}}}"#,
    );
    for (tool, arguments, wanted) in [
        ("act", "{}", Some(("/tools/act/action", "/tools/act/action", "Ask me.", 300))),
        (
            "plain",
            "{}",
            Some(("/tools/plain/action", "/tools/plain/action", "Tool plain needs a person's approval", 300)),
        ),
        (
            "rule",
            r#"{"n":6}"#,
            Some(("/tools/rule/approve_if/args.n-gt", "/tools/rule/approve_if/0", "More than 5?", 90)),
        ),
        (
            "rule",
            r#"{"n":[]}"#,
            Some((
                "/tools/rule/approve_if/args.n-gt",
                "/tools/rule/approve_if/0",
                "More than 5? (args.n is an array, a number is needed)",
                90,
            )),
        ),
        (
            "rule",
            r#"{"n":5,"to":["a@y","b@x"]}"#,
            Some((
                "/tools/rule/approve_if/args.to[*]-regex",
                "/tools/rule/approve_if/1",
                "Tool rule needs a person's approval",
                300,
            )),
        ),
        ("rule", r#"{"n":5,"to":["a@y"]}"#, None),
        ("rule", "{}", None),
    ] {
        let Verdict::Allow { approval, .. } = decide(&p, tool, arguments) else { panic!("{tool} denied") };
        let got = approval
            .as_ref()
            .map(|need| (need.rule.as_str(), need.pointer.as_str(), need.message.as_str(), need.timeout));
        assert_eq!(got, wanted, "{tool} {arguments}");
    }
}

#[test]
fn paths_are_each_named_once() {
    let p = tool(
        r#"{"require":[{"conditions":[{"path":"args.a","op":"eq","value":1},{"path":"args.b","op":"eq","value":1}]}],
            "deny_if":[{"conditions":[{"path":"args.a","op":"gt","value":1}]}],
            "limits":[{"counter":"c","window":"day","max":9,"increment_from":"args.n"}]}"#,
    );
    let names: Vec<_> = p.paths("t").iter().map(Path::as_str).collect();
    assert_eq!(names, ["args.a", "args.b", "args.n"]);
    assert!(p.paths("x").is_empty());
}

#[test]
fn a_document_with_errors_decides_nothing() {
    let parsed = Document::parse(r#"{"version":"1","default":"allow","tools":{"t":{"deny_iff":[]}}}"#);
    let error = Compiled::new(&parsed.document.unwrap()).unwrap_err();
    assert!(error.to_string().contains("has errors"));
}
