//! The compiled form agrees with a second evaluator, written separately and as plainly as the
//! text of the semantics, on random policies and calls. It shares nothing with the product but
//! JSON text: it has its own tree, numbers, paths and case folding.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    clippy::match_same_arms,
    clippy::collapsible_if,
    clippy::too_many_lines,
    clippy::many_single_char_names,
    reason = "a plain second telling, with small numbers"
)]

use callgate::json;
use callgate::policy::compiled::Compiled;
use callgate::policy::decide::{Call, Circumstances, Verdict};
use callgate::policy::document::Document;
use callgate::policy::explain::Decision;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

// ---- values -----------------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    /// `mantissa * 10^exponent`, spelt in one of several ways.
    Number(i128, i32, u8),
    /// Beyond every comparison.
    Extreme,
    Text(String),
    /// A string with half of a surrogate pair.
    Broken,
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

use Tree::{Bool, Broken, Extreme, List, Null, Number, Object, Text};

fn kind(tree: &Tree) -> u8 {
    match tree {
        Null => 0,
        Bool(_) => 1,
        Number(..) | Extreme => 2,
        Text(_) | Broken => 3,
        List(_) => 4,
        Object(_) => 5,
    }
}

fn spell(tree: &Tree) -> String {
    match tree {
        Null => "null".into(),
        Bool(value) => value.to_string(),
        Number(mantissa, exponent, style) => match style % 3 {
            0 if *exponent >= 0 && *exponent < 6 => {
                format!(
                    "{mantissa}{}",
                    if *mantissa == 0 { String::new() } else { "0".repeat(*exponent as usize) }
                )
            }
            1 => format!("{mantissa}.0E{exponent}"),
            _ => format!("{mantissa}e{exponent}"),
        },
        Extreme => "1e99999999999999999999".into(),
        Text(text) => serde_json::to_string(text).unwrap(),
        Broken => r#""a\ud800""#.into(),
        List(items) => format!("[{}]", items.iter().map(spell).collect::<Vec<_>>().join(",")),
        Object(members) => {
            let member = |(name, value): &(String, Tree)| {
                format!("{}:{}", serde_json::to_string(name).unwrap(), spell(value))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}

// ---- the second evaluator ---------------------------------------------------------------------

/// Yes, no, or not sure.
type Sure = Option<bool>;

fn compare(a: (i128, i32), b: (i128, i32)) -> std::cmp::Ordering {
    let low = a.1.min(b.1);
    let scale = |(mantissa, exponent): (i128, i32)| mantissa * 10_i128.pow((exponent - low) as u32);
    scale(a).cmp(&scale(b))
}

/// Equality within values: other types are unequal.
fn equal(a: &Tree, b: &Tree) -> Sure {
    match (a, b) {
        (Null, Null) => Some(true),
        (Bool(a), Bool(b)) => Some(a == b),
        (Number(m, e, _), Number(n, f, _)) => Some(compare((*m, *e), (*n, *f)).is_eq()),
        (Extreme, Number(..) | Extreme) | (Number(..), Extreme) => None,
        (Text(a), Text(b)) => Some(a == b),
        (Broken, Text(_) | Broken) | (Text(_), Broken) => None,
        (List(a), List(b)) if a.len() == b.len() => {
            every(a.iter().zip(b).map(|(a, b)| equal(a, b)).collect())
        }
        (Object(a), Object(b)) => {
            if a.len() != b.len() {
                return Some(false);
            }
            every(
                a.iter()
                    .map(|(name, value)| match b.iter().find(|(other, _)| other == name) {
                        Some((_, other)) => equal(value, other),
                        None => Some(false),
                    })
                    .collect(),
            )
        }
        _ => Some(false),
    }
}

fn every(all: Vec<Sure>) -> Sure {
    if all.contains(&Some(false)) {
        Some(false)
    } else if all.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn some(all: Vec<Sure>) -> Sure {
    every(all.into_iter().map(|one| one.map(|is| !is)).collect()).map(|is| !is)
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Name(&'static str),
    Index(usize),
    Each,
}

/// What a path finds: values, absences (`None`), and places where it cannot be sure (`Err`).
fn find(tree: &Tree, path: &[Part], out: &mut Vec<Result<Option<Tree>, ()>>) {
    if *tree == Null {
        out.push(Ok(None));
        return;
    }
    if path.is_empty() {
        out.push(Ok(Some(tree.clone())));
        return;
    }
    let name = match &path[0] {
        Part::Name(name) => (*name).to_owned(),
        Part::Index(index) => index.to_string(),
        Part::Each => String::new(),
    };
    match (&path[0], tree) {
        (Part::Each, List(items)) if items.is_empty() => out.push(Ok(None)),
        (Part::Each, List(items)) => items.iter().for_each(|item| find(item, &path[1..], out)),
        (Part::Index(index), List(items)) => match items.get(*index) {
            Some(item) => find(item, &path[1..], out),
            None => out.push(Ok(None)),
        },
        (Part::Name(_) | Part::Index(_), Object(members)) => {
            let fold = |text: &str| text.replace(['S', 'ſ'], "s").to_ascii_lowercase();
            if members.iter().any(|(key, _)| *key != name && fold(key) == fold(&name)) {
                out.push(Err(()));
            } else if let Some((_, value)) = members.iter().find(|(key, _)| *key == name) {
                find(value, &path[1..], out);
            } else {
                out.push(Ok(None));
            }
        }
        _ => out.push(Err(())),
    }
}

#[derive(Debug, Clone)]
struct Cond {
    path: Vec<Part>,
    op: &'static str,
    value: Tree,
}

fn holds_for(found: &Tree, op: &str, value: &Tree) -> Sure {
    let same = kind(found) == kind(value);
    match op {
        "exists" => Some(*value == Bool(true)),
        "eq" if same => equal(found, value),
        "neq" if same => equal(found, value).map(|is| !is),
        "lt" | "lte" | "gt" | "gte" => match (found, value) {
            (Number(m, e, _), Number(n, f, _)) => {
                let order = compare((*m, *e), (*n, *f));
                Some(match op {
                    "lt" => order.is_lt(),
                    "lte" => order.is_le(),
                    "gt" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            _ => None,
        },
        "in" | "not_in" => {
            let List(choices) = value else { panic!("generator") };
            if !choices.iter().any(|choice| kind(choice) == kind(found)) {
                return None;
            }
            let among = some(choices.iter().map(|choice| equal(found, choice)).collect());
            if op == "in" { among } else { among.map(|is| !is) }
        }
        "regex" => match (found, value) {
            (Text(text), Text(pattern)) => Some(match pattern.as_str() {
                "^a" => text.starts_with('a'),
                "b$" => text.ends_with('b'),
                "^ab?$" => text == "a" || text == "ab",
                other => panic!("generator: {other}"),
            }),
            _ => None,
        },
        "contains" => match (found, value) {
            (Text(text), Text(part)) => Some(text.contains(part.as_str())),
            (List(items), value) if items.iter().any(|item| kind(item) == kind(value)) => {
                some(items.iter().map(|item| equal(item, value)).collect())
            }
            _ => None,
        },
        _ => None,
    }
}

fn holds(cond: &Cond, arguments: &Tree, must: bool) -> Sure {
    let mut found = Vec::new();
    find(arguments, &cond.path, &mut found);
    let each = found
        .iter()
        .map(|one| match one {
            Err(()) => None,
            Ok(None) => Some(cond.op == "exists" && cond.value == Bool(false)),
            Ok(Some(tree)) => holds_for(tree, cond.op, &cond.value),
        })
        .collect();
    if must { every(each) } else { some(each) }
}

fn rule_holds(rule: &[Cond], arguments: &Tree, must: bool) -> Sure {
    every(rule.iter().map(|cond| holds(cond, arguments, must)).collect())
}

#[derive(Debug, Clone)]
struct Policy {
    require: Vec<Vec<Cond>>,
    deny_if: Vec<Vec<Cond>>,
    approve_if: Vec<Vec<Cond>>,
    count: Option<Vec<Part>>,
}

/// `deny POINTER`, `approve POINTER` or `allow AMOUNT in millionths`.
fn reference(policy: &Policy, arguments: &Tree) -> String {
    for (index, rule) in policy.require.iter().enumerate() {
        if rule_holds(rule, arguments, true) != Some(true) {
            return format!("deny /tools/t/require/{index}");
        }
    }
    for (index, rule) in policy.deny_if.iter().enumerate() {
        if rule_holds(rule, arguments, false) != Some(false) {
            return format!("deny /tools/t/deny_if/{index}");
        }
    }
    let mut amount = 1_000_000;
    if let Some(path) = &policy.count {
        let mut found = Vec::new();
        find(arguments, path, &mut found);
        amount = 0;
        for one in found {
            match one {
                Ok(Some(Number(mantissa, exponent, _))) if mantissa >= 0 && exponent <= 3 => {
                    amount += if exponent >= -6 {
                        mantissa * 10_i128.pow((exponent + 6) as u32)
                    } else {
                        let part = 10_i128.pow((-6 - exponent) as u32);
                        (mantissa + part - 1) / part
                    };
                }
                _ => return "deny /tools/t/limits/0".into(),
            }
        }
    }
    for (index, rule) in policy.approve_if.iter().enumerate() {
        if rule_holds(rule, arguments, false) != Some(false) {
            return format!("approve /tools/t/approve_if/{index}");
        }
    }
    format!("allow {amount}")
}

// ---- the product ------------------------------------------------------------------------------

fn written(policy: &Policy) -> String {
    let path = |parts: &[Part]| {
        parts.iter().fold("args".to_owned(), |text, part| match part {
            Part::Name(name) => format!("{text}.{}", name.replace('.', "\\.")),
            Part::Index(index) => format!("{text}.{index}"),
            Part::Each => format!("{text}[*]"),
        })
    };
    let cond = |cond: &Cond| {
        let path = serde_json::to_string(&path(&cond.path)).unwrap();
        format!(r#"{{"path":{path},"op":"{}","value":{}}}"#, cond.op, spell(&cond.value))
    };
    let rule = |rule: &Vec<Cond>| {
        format!(r#"{{"conditions":[{}]}}"#, rule.iter().map(cond).collect::<Vec<_>>().join(","))
    };
    let list = |rules: &[Vec<Cond>]| rules.iter().map(rule).collect::<Vec<_>>().join(",");
    let from = policy.count.as_ref().map_or(String::new(), |parts| {
        format!(r#","increment_from":{}"#, serde_json::to_string(&path(parts)).unwrap())
    });
    format!(
        r#"{{"version":"1","default":"deny","tools":{{"t":{{"require":[{}],"deny_if":[{}],"approve_if":[{}],
            "limits":[{{"counter":"c","window":"day","max":1000000000000000{from}}}]}}}}}}"#,
        list(&policy.require),
        list(&policy.deny_if),
        list(&policy.approve_if)
    )
}

fn compiled(policy: &Policy) -> Compiled {
    let text = written(policy);
    match Document::parse(&text).valid() {
        Ok(document) => Compiled::new(&document).unwrap(),
        Err(error) => panic!("{error}\n{text}"),
    }
}

fn product(compiled: &Compiled, arguments: &str) -> String {
    let parsed = json::parse(arguments).expect(arguments);
    let call = Call { tool: "t", arguments: Some(&parsed.root) };
    let explained = compiled.explain(&call, &Circumstances::default());
    let (text, decision, pointer, message) = match compiled.decide(&call, &Circumstances::default()) {
        Verdict::Deny(denial) => {
            let pointer = denial.pointer;
            (format!("deny {}", pointer.clone().unwrap()), Decision::Deny, pointer, denial.message)
        }
        Verdict::Allow { approval: Some(need), .. } => {
            (format!("approve {}", need.pointer), Decision::Approve, Some(need.pointer), need.message)
        }
        Verdict::Allow { charges, pointer, .. } => {
            (format!("allow {}", charges[0].increment.0), Decision::Allow, pointer, String::new())
        }
    };
    // What even an empty counter has no room for is denied once it is to be counted, before anybody is
    // asked; the explanation says that.
    let (decision, pointer, message) = match compiled.decide(&call, &Circumstances::default()) {
        Verdict::Allow { charges, .. } if charges[0].increment > charges[0].limit.max => {
            let limit = &charges[0].limit;
            (Decision::Deny, Some(limit.pointer.clone()), limit.message.clone())
        }
        _ => (decision, pointer, message),
    };
    // The explanation says the same, and its one deciding step is the one that decided.
    assert_eq!((explained.decision, &explained.pointer, explained.message), (decision, &pointer, message));
    let decided: Vec<_> = explained.trace.iter().filter(|step| step.decided).collect();
    if decision == Decision::Allow {
        assert!(decided.is_empty());
    } else {
        assert_eq!(decided.len(), 1);
        assert_eq!(decided[0].pointer, pointer);
    }
    text
}

// ---- random policies and calls ----------------------------------------------------------------

const NAMES: [&str; 8] = ["a", "b", "A", "a.b", "0", "s", "ſ", "S"];
const STRINGS: [&str; 7] = ["", "a", "ab", "b", "1", "true", "{\"a\":1}"];

fn number() -> impl Strategy<Value = Tree> {
    let small = (-3_i128..12, -8_i32..3, any::<u8>()).prop_map(|(m, e, style)| Number(m, e, style));
    let big = (0_i128..3).prop_map(|n| Number(9_007_199_254_740_992 + n, 0, 0));
    prop_oneof![6 => (0_i128..4, any::<u8>()).prop_map(|(m, style)| Number(m, 0, style)), 3 => small, 1 => big]
}

fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![
        1 => Just(Null),
        1 => any::<bool>().prop_map(Bool),
        5 => number(),
        5 => prop::sample::select(&STRINGS[..]).prop_map(|text| Text(text.to_owned())),
    ]
}

fn object(value: impl Strategy<Value = Tree> + 'static) -> impl Strategy<Value = Tree> {
    // The generator keeps names unique: a gateway refuses duplicates before it decides.
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), value, 0..4).prop_map(|members| {
        Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

/// Values as calls hold them: also broken strings and extreme numbers.
fn argument() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![20 => scalar(), 1 => Just(Broken), 1 => Just(Extreme)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![3 => prop::collection::vec(inner.clone(), 0..4).prop_map(List), 3 => object(inner)]
    })
    .boxed()
}

fn constant() -> BoxedStrategy<Tree> {
    scalar()
        .prop_recursive(2, 8, 3, |inner| {
            prop_oneof![prop::collection::vec(inner.clone(), 0..3).prop_map(List), object(inner)]
        })
        .boxed()
}

fn path() -> impl Strategy<Value = Vec<Part>> {
    let name = || prop::sample::select(vec!["a", "b", "a.b", "s"]).prop_map(Part::Name);
    let part = prop_oneof![3 => name(), 2 => Just(Part::Each), 1 => (0_usize..2).prop_map(Part::Index)];
    (name(), prop::collection::vec(part, 0..3)).prop_map(|(first, rest)| {
        let mut all = vec![first];
        all.extend(rest);
        all
    })
}

fn cond() -> impl Strategy<Value = Cond> {
    let not_null = |tree: &Tree| *tree != Null;
    let test = prop_oneof![
        3 => (prop::sample::select(vec!["eq", "neq"]), constant().prop_filter("null", not_null)).boxed(),
        2 => (prop::sample::select(vec!["lt", "lte", "gt", "gte"]), number()).boxed(),
        2 => (prop::sample::select(vec!["in", "not_in"]), prop::collection::vec(constant(), 0..4).prop_map(List)).boxed(),
        2 => (Just("exists"), any::<bool>().prop_map(Bool)).boxed(),
        2 => (Just("regex"), prop::sample::select(vec!["^a", "b$", "^ab?$"]).prop_map(|p| Text(p.to_owned()))).boxed(),
        2 => (Just("contains"), scalar().prop_filter("null", not_null)).boxed(),
    ];
    (path(), test).prop_map(|(path, (op, value))| Cond { path, op, value })
}

fn rules(most: usize) -> impl Strategy<Value = Vec<Vec<Cond>>> {
    prop::collection::vec(prop::collection::vec(cond(), 1..3), 0..=most)
}

fn policy() -> impl Strategy<Value = Policy> {
    (rules(2), rules(2), rules(2), prop::option::weighted(0.3, path()))
        .prop_map(|(require, deny_if, approve_if, count)| Policy { require, deny_if, approve_if, count })
}

/// The generators reach what they are for: every verdict, and conditions of every truth.
#[test]
fn the_generators_reach_everything() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut verdicts, mut truths) = ([0; 3], [0; 3]);
    for _ in 0..2_000 {
        let draw = (policy(), cond(), object(argument())).new_tree(&mut runner).unwrap().current();
        let (policy, cond, call) = draw;
        let verdict = reference(&policy, &call);
        verdicts[["allow", "deny", "approve"].iter().position(|word| verdict.starts_with(word)).unwrap()] +=
            1;
        truths[match holds(&cond, &call, false) {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        }] += 1;
    }
    assert!(verdicts.iter().chain(&truths).all(|count| *count >= 50), "{verdicts:?} {truths:?}");
}

/// An amount that no counter has room for, which random calls seldom have.
#[test]
fn what_no_counter_can_hold_is_explained_as_the_limit_denies_it() {
    let count = Some(vec![Part::Name("a")]);
    for approve_if in [Vec::new(), vec![Vec::new()]] {
        let policy = Policy { require: Vec::new(), deny_if: Vec::new(), approve_if, count: count.clone() };
        product(&compiled(&policy), r#"{"a":9007199254740992}"#);
    }
}

proptest! {
    #[test]
    fn agrees_with_the_second_evaluator(
        policy in policy(),
        calls in prop::collection::vec(object(argument()), 1..12),
    ) {
        let compiled = compiled(&policy);
        for call in calls {
            let text = spell(&call);
            prop_assert_eq!(product(&compiled, &text), reference(&policy, &call), "{}\n{}", written(&policy), text);
        }
    }

    /// One condition at a time, so that every operator meets every value often.
    #[test]
    fn agrees_on_single_conditions(
        one in cond(),
        calls in prop::collection::vec(object(argument()), 1..12),
    ) {
        let lists = [
            Policy { require: vec![vec![one.clone()]], deny_if: vec![], approve_if: vec![], count: None },
            Policy { require: vec![], deny_if: vec![vec![one.clone()]], approve_if: vec![], count: None },
            Policy { require: vec![], deny_if: vec![], approve_if: vec![vec![one]], count: None },
        ];
        for policy in lists {
            let compiled = compiled(&policy);
            for call in &calls {
                let text = spell(call);
                prop_assert_eq!(product(&compiled, &text), reference(&policy, call), "{}\n{}", written(&policy), text);
            }
        }
    }

    /// Adding a rule to `deny_if` or `require` never turns a deny into an allow.
    #[test]
    fn another_rule_never_allows_more(
        policy in policy(),
        rule in prop::collection::vec(cond(), 0..3),
        to_require in any::<bool>(),
        at in any::<prop::sample::Index>(),
        calls in prop::collection::vec(object(argument()), 1..8),
    ) {
        let mut stricter = policy.clone();
        let list = if to_require { &mut stricter.require } else { &mut stricter.deny_if };
        list.insert(at.index(list.len() + 1), rule);
        let (before, after) = (compiled(&policy), compiled(&stricter));
        for call in calls {
            let text = spell(&call);
            if product(&before, &text).starts_with("deny") {
                prop_assert!(product(&after, &text).starts_with("deny"), "{}\n{}", written(&stricter), text);
            }
        }
    }
}
