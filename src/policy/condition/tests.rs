use super::*;
use crate::policy::model::Condition as Written;

fn condition(path: &str, op: &str, value: &str) -> Condition {
    let written = Written {
        span: json::Span::default(),
        path: path.to_owned(),
        op: Op::parse(op).unwrap(),
        value: value.to_owned(),
    };
    Condition::new(&written).unwrap()
}

fn any(path: &str, op: &str, value: &str, arguments: &str) -> Truth {
    condition(path, op, value).judge(Some(&json::parse(arguments).unwrap().root), Range::Any).truth
}

fn all(path: &str, op: &str, value: &str, arguments: &str) -> Truth {
    condition(path, op, value).judge(Some(&json::parse(arguments).unwrap().root), Range::All).truth
}

use Truth::{False, Indeterminate, True};

#[test]
fn each_operator_with_each_kind_of_value() {
    // op, value, argument, truth
    for (op, value, argument, truth) in [
        ("eq", "5", "5", True),
        ("eq", "5", "5.0", True),
        ("eq", "5", "50e-1", True),
        ("eq", "5", "5.00000000000000000000000000001", False),
        ("eq", "9007199254740993", "9007199254740992", False),
        ("eq", "0", "-0.0", True),
        // Policy-format, 5.9, 13: `5` is not `"5"`, and it is not simply unequal either.
        ("eq", "5", r#""5""#, Indeterminate),
        ("neq", "5", r#""5""#, Indeterminate),
        ("eq", r#""true""#, "true", Indeterminate),
        ("eq", r#""a""#, r#""\u0061""#, True),
        ("eq", r#""a""#, r#""A""#, False),
        ("eq", r#""a""#, r#""a\ud800""#, Indeterminate),
        ("neq", r#""a""#, r#""\ud800""#, Indeterminate),
        ("eq", "[1,2]", "[1,2.0]", True),
        ("eq", "[1,2]", "[2,1]", False),
        ("eq", "[1,2]", r#"[1,"2"]"#, False),
        ("eq", "[1]", "[1e99999999999999999999]", Indeterminate),
        ("eq", r#"{"a":1,"b":[null]}"#, r#"{"b":[null],"a":1.0}"#, True),
        ("eq", r#"{"a":1}"#, r#"{"a":1,"b":2}"#, False),
        ("eq", r#"{"a":1}"#, r#"{"a":1,"a":2}"#, Indeterminate),
        ("eq", r#"{"a":1}"#, r#"{"\ud800":1}"#, Indeterminate),
        ("eq", r#"{"a":1}"#, "[1]", Indeterminate),
        ("neq", "5", "6", True),
        ("lt", "5", "4.999", True),
        ("lt", "5", "5", False),
        ("lte", "5", "5.0", True),
        ("gt", "100", "100.00000000000000001", True),
        ("gt", "100", "1e400", True),
        ("gt", "100", "1e99999999999999999999", Indeterminate),
        ("gte", "-1e400", "-1e401", False),
        ("gt", "100", r#""101""#, Indeterminate),
        ("gt", "100", "true", Indeterminate),
        ("gt", "100", "[101]", Indeterminate),
        ("in", r#"["a","b"]"#, r#""b""#, True),
        ("in", r#"["a","b"]"#, r#""c""#, False),
        ("in", r#"["a",1]"#, "2", False),
        ("in", r#"["a","b"]"#, "1", Indeterminate),
        ("in", "[]", "1", Indeterminate),
        ("in", "[null]", "1", Indeterminate),
        ("in", "[1,2,3]", "3.0", True),
        ("in", "[[1],{\"a\":1}]", "[1]", True),
        ("in", "[[1],{\"a\":1}]", r#"{"a":1}"#, True),
        ("in", "[[1]]", r#"{"a":1}"#, Indeterminate),
        ("in", "[true]", "false", False),
        ("in", "[true]", "true", True),
        ("in", r#"["a"]"#, r#""\udc00""#, Indeterminate),
        ("not_in", r#"["a","b"]"#, r#""c""#, True),
        ("not_in", r#"["a","b"]"#, r#""a""#, False),
        ("not_in", r#"["a","b"]"#, "1", Indeterminate),
        ("not_in", "[1,1e99999999999999999999]", "2", Indeterminate),
        ("not_in", "[1,1e99999999999999999999]", "1", False),
        ("exists", "true", "0", True),
        ("exists", "true", "null", False),
        ("exists", "false", "null", True),
        ("exists", "false", r#""""#, False),
        ("regex", r#""b+""#, r#""abbc""#, True),
        ("regex", r#""^b+$""#, r#""abbc""#, False),
        ("regex", r#""b""#, "1", Indeterminate),
        ("regex", r#""b""#, r#"["b"]"#, Indeterminate),
        ("regex", r#"".""#, r#""\ud800""#, Indeterminate),
        ("contains", r#""an""#, r#""banana""#, True),
        ("contains", r#""""#, r#""""#, True),
        ("contains", r#""x""#, r#""banana""#, False),
        ("contains", r#""x""#, r#""\ud800""#, Indeterminate),
        ("contains", r#""x""#, r#"["y","x",1]"#, True),
        ("contains", r#""x""#, r#"["y",1]"#, False),
        ("contains", r#""x""#, r#"["xx"]"#, False),
        ("contains", r#""x""#, "[1,2]", Indeterminate),
        ("contains", r#""x""#, "[]", Indeterminate),
        ("contains", r#""x""#, r#"["y","\ud800"]"#, Indeterminate),
        ("contains", "1", "[1.0]", True),
        ("contains", "1", r#"["1"]"#, Indeterminate),
        ("contains", "1", r#""1""#, Indeterminate),
        ("contains", "true", "[false]", False),
        ("contains", r#""x""#, r#"{"x":1}"#, Indeterminate),
        ("contains", r#""x""#, "7", Indeterminate),
    ] {
        let arguments = format!(r#"{{"v":{argument}}}"#);
        assert_eq!(any("args.v", op, value, &arguments), truth, "{op} {value} {argument}");
        assert_eq!(all("args.v", op, value, &arguments), truth, "{op} {value} {argument}");
    }
}

#[test]
fn missing_and_null_are_false_save_for_exists() {
    for op in ["eq", "neq", "lt", "lte", "gt", "gte", "in", "not_in", "regex", "contains", "exists"] {
        let value = match op {
            "in" | "not_in" => "[1]",
            "regex" | "contains" => r#""x""#,
            "exists" => "true",
            _ => "1",
        };
        for (path, arguments) in [
            ("args.v", "{}"),
            ("args.v", r#"{"v":null}"#),
            ("args.v", r#"{"w":1}"#),
            ("args.v.w", "{}"),
            ("args.v.w", r#"{"v":null}"#),
            ("args.v.w", r#"{"v":{}}"#),
            ("args.v[*]", "{}"),
            ("args.v[*]", r#"{"v":null}"#),
            ("args.v[*]", r#"{"v":[]}"#),
            ("args.v[*]", r#"{"v":[null]}"#),
            ("args.v[*].w", r#"{"v":[{}]}"#),
            ("args.v.0", r#"{"v":[]}"#),
            ("args.v.1", r#"{"v":[1]}"#),
            ("args.v", "null"),
        ] {
            assert_eq!(any(path, op, value, arguments), False, "{path} {op} {arguments}");
            assert_eq!(all(path, op, value, arguments), False, "{path} {op} {arguments}");
            assert_eq!(any(path, "exists", "false", arguments), True, "{path} {arguments}");
            assert_eq!(all(path, "exists", "false", arguments), True, "{path} {arguments}");
        }
        assert_eq!(condition("args.v", op, value).judge(None, Range::Any).truth, False);
    }
}

#[test]
fn case_twins_are_indeterminate_with_and_without_the_exact_name() {
    for (path, arguments) in [
        ("args.amount", r#"{"Amount":5}"#),
        ("args.amount", r#"{"amount":5,"AMOUNT":500}"#),
        ("args.amount", r#"{"AMOUNT":null}"#),
        ("args.params", "{\"param\u{17f}\":1,\"params\":2}"),
        ("args.key", r#"{"\u212aey":1}"#),
        ("args.ſ", r#"{"s":1}"#),
        ("args.straße", r#"{"STRAẞE":1}"#),
        ("args.a.b", r#"{"A":1,"a":{"b":5}}"#),
        ("args.a.b", r#"{"a":{"b":5,"B":5}}"#),
        ("args.a[*].b", r#"{"a":[{"b":6,"B":6}]}"#),
        ("args.amount", r#"{"amount":5,"amount":6}"#),
        ("args.amount", r#"{"amount":6,"\ud800":6}"#),
    ] {
        for op in ["eq", "neq"] {
            assert_eq!(any(path, op, "5", arguments), Indeterminate, "{path} {op} {arguments}");
            assert_eq!(all(path, op, "5", arguments), Indeterminate, "{path} {op} {arguments}");
        }
        for value in ["true", "false"] {
            assert_eq!(any(path, "exists", value, arguments), Indeterminate, "{path} {arguments}");
        }
    }
    // Twins elsewhere do not matter.
    assert_eq!(any("args.a", "eq", "5", r#"{"a":5,"b":1,"B":2}"#), True);
    assert_eq!(any("args.a", "eq", r#"{"x":1,"X":2}"#, r#"{"a":{"X":2,"x":1}}"#), True);
    assert_eq!(any("args.strasse", "eq", "5", r#"{"strasse":5,"straße":6}"#), True);
}

#[test]
fn elements_any_or_all() {
    let arguments = r#"{"to":["a@x","b@y"],"m":[["p"],[]],"items":[{"n":1},{"n":2},{"n":"3"},{}]}"#;
    assert_eq!(any("args.to[*]", "regex", r#""@x$""#, arguments), True);
    assert_eq!(all("args.to[*]", "regex", r#""@x$""#, arguments), False);
    assert_eq!(all("args.to[*]", "regex", r#""@[xy]$""#, arguments), True);
    assert_eq!(any("args.items[*].n", "eq", "2", arguments), True);
    assert_eq!(any("args.items[*].n", "eq", "9", arguments), Indeterminate);
    assert_eq!(all("args.items[*].n", "gt", "0", arguments), False);
    assert_eq!(all("args.items[*].n", "gt", "0", r#"{"items":[{"n":1},{"n":"2"}]}"#), Indeterminate);
    assert_eq!(any("args.m[*][*]", "eq", r#""p""#, arguments), True);
    assert_eq!(all("args.m[*][*]", "eq", r#""p""#, arguments), False);
    // Each condition ranges by itself, so one without `[*]` says nothing about elements.
    for wrong in [r#"{"v":1}"#, r#"{"v":"x"}"#, r#"{"v":{"0":1}}"#, r#"{"v":true}"#] {
        assert_eq!(any("args.v[*]", "eq", "1", wrong), Indeterminate, "{wrong}");
        assert_eq!(any("args.v[*]", "exists", "false", wrong), Indeterminate, "{wrong}");
    }
}

#[test]
fn steps_fit_what_they_walk_through() {
    let arguments = r#"{"a.b":1,"a\\":{"b":2},"l":[7,{"0":8}],"o":{"0":9,"l":[]},"s":"{\"x\":1}"}"#;
    for (path, value) in [
        ("args.a\\.b", "1"),
        ("args.a\\\\.b", "2"),
        ("args.l.0", "7"),
        ("args.l.1.0", "8"),
        ("args.o.0", "9"),
    ] {
        assert_eq!(any(path, "eq", value, arguments), True, "{path}");
    }
    // Some servers read a string of JSON as the object it spells, so a string is no missing object.
    for path in ["args.s.x", "args.l.x", "args.s.0", "args.l.00", "args.l.0.x"] {
        assert_eq!(any(path, "eq", "1", arguments), Indeterminate, "{path}");
    }
    assert_eq!(any("args.l.2", "eq", "1", arguments), False);
    assert_eq!(any("args.o.1", "eq", "1", arguments), False);
}

#[test]
fn says_what_was_found() {
    for (path, op, value, arguments, found) in [
        ("args.amount", "gt", "1", r#"{"amount":"2"}"#, "args.amount is a string, a number is needed"),
        (
            "args.v[*].n",
            "eq",
            "\"a\"",
            r#"{"v":[{},{"n":[]}]}"#,
            "args.v.1.n is an array, a string is needed",
        ),
        (
            "args.v",
            "in",
            r#"[1,"a"]"#,
            r#"{"v":true}"#,
            "args.v is a boolean, a string or a number is needed",
        ),
        ("args.v", "regex", r#""a""#, r#"{"v":1}"#, "args.v is a number, a string is needed"),
        ("args.v", "contains", "1", r#"{"v":{}}"#, "args.v is an object, an array of numbers is needed"),
        (
            "args.v",
            "contains",
            "\"a\"",
            r#"{"v":[1]}"#,
            "args.v is an array without a fitting element, a string or an array of strings is needed",
        ),
        ("args.v[*]", "eq", "1", r#"{"v":"x"}"#, "args.v is a string, an array is needed"),
        ("args.v.w", "eq", "1", r#"{"v":"x"}"#, "args.v is a string, an object is needed"),
        ("args.v.0", "eq", "1", r#"{"v":"x"}"#, "args.v is a string, an array or an object is needed"),
        ("args.v", "eq", "1", r#"{"V":1}"#, "args.v has a twin whose name differs only in case"),
        (
            "args.v",
            "eq",
            "\"a\"",
            r#"{"v":"\ud800"}"#,
            "args.v holds a character that cannot be read exactly",
        ),
        ("args.v", "gt", "1", r#"{"v":1e99999999999999999999}"#, "args.v is a number too extreme to compare"),
    ] {
        let root = json::parse(arguments).unwrap().root;
        let condition = condition(path, op, value);
        let judged = condition.judge(Some(&root), Range::Any);
        assert_eq!(judged.truth, Indeterminate, "{path} {arguments}");
        assert_eq!(condition.say(&judged.finding.unwrap()), found);
    }
}

#[test]
fn patterns_run_in_linear_time() {
    let argument = format!(r#"{{"v":"{}!"}}"#, "a".repeat(200_000));
    assert_eq!(any("args.v", "regex", r#""^(a+)+$""#, &argument), False);
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for (op, value) in [
        ("eq", "null"),
        ("lt", "\"1\""),
        ("gt", "1e99999999999999999999"),
        ("in", "1"),
        ("exists", "1"),
        ("regex", "\"(\""),
        ("regex", "1"),
        ("contains", "[]"),
        ("contains", "null"),
    ] {
        let written = Written {
            span: json::Span::default(),
            path: "args.v".to_owned(),
            op: Op::parse(op).unwrap(),
            value: value.to_owned(),
        };
        assert!(Condition::new(&written).is_err(), "{op} {value}");
    }
}
