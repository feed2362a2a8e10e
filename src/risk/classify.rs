//! The class of a tool from all that is known of it.
//!
//! The name decides where it has a clear verb. The description decides where the name has none,
//! and may raise the class where it plainly tells a loss. The schema raises it where an argument
//! selects an action or is run. Annotations are claims by an untrusted server: they raise an
//! unclear class, and lower one only where nothing contradicts.

use serde_json::Value;

use super::lexicon::lexicon;
use super::name::{self, Strength};
use super::{Category, Risk, words};
use crate::mcp::tool::Tool;

/// How much of a description is read, in words. Servers write essays; what a tool does stands at
/// the beginning.
const DESCRIPTION_WORDS: usize = 400;
/// How many values of an argument are looked at.
const MAX_CHOICES: usize = 500;

/// The class of a tool, with the evidence: what decided stands first.
pub fn classify(tool: &Tool) -> Risk {
    let mut reading = name::read(&tool.name);
    let mut category = reading.category;
    let mut evidence = std::mem::take(&mut reading.evidence);
    let description = tool.description.as_deref().unwrap_or_default();

    let told = opening(description);
    match (&told, reading.strength) {
        (Some((said, verb)), Strength::Nothing) => {
            category = *said;
            evidence = vec![format!("description begins with `{verb}`")];
        }
        (Some((said, verb)), Strength::Weak)
            if *said > category && *said >= Category::Execute && !generic(verb) =>
        {
            category = *said;
            evidence.insert(0, format!("description begins with `{verb}`"));
        }
        (Some((said, verb)), _) if *said > category && plain_loss(verb) => {
            category = *said;
            evidence.insert(0, format!("description begins with `{verb}`"));
        }
        _ => {}
    }
    if category != Category::Read || reading.strength != Strength::Clear {
        let text = description.to_lowercase();
        let phrase = lexicon().irreversible.iter().find(|phrase| text.contains(phrase.as_str()));
        if let Some(phrase) = phrase.filter(|_| category < Category::Destructive) {
            category = Category::Destructive;
            evidence.insert(0, format!("description says `{phrase}`"));
        }
    }
    if reading.multi
        && let Some((said, verb)) = mentioned(description).filter(|(said, _)| *said > category)
    {
        category = said;
        evidence.insert(0, format!("description names `{verb}` among its actions"));
    }
    if let Some((said, why)) = from_schema(&tool.input_schema, reading.strength, category) {
        category = said;
        evidence.insert(0, why);
    }
    let unclear = reading.strength == Strength::Nothing && told.is_none();
    hints(tool, &mut category, &mut evidence, unclear, reading.soft || unclear);
    Risk { category, severity: category.severity(), evidence }
}

fn plain_loss(verb: &str) -> bool {
    words::verb_forms(verb).iter().any(|form| lexicon().plain_loss.contains(form))
}

fn generic(verb: &str) -> bool {
    words::verb_forms(verb).iter().any(|form| lexicon().generic.contains(form))
}

/// The class of the verb that a description begins with, and the word.
fn opening(description: &str) -> Option<(Category, String)> {
    let lexicon = lexicon();
    let first = description.split(['\n', '.', ';', ':', '(']).find(|part| !part.trim().is_empty())?;
    let words = words::of_text(first, 12);
    // "This tool allows you to delete ...", "Tool to get ...", "Use this to run ...".
    let lead = words.first()?.as_str();
    let preface = [
        "this",
        "a",
        "an",
        "the",
        "tool",
        "use",
        "allows",
        "lets",
        "you",
        "can",
        "utility",
        "used",
        "enables",
        "safely",
        "quickly",
        "permanently",
        "easily",
        "helps",
        "please",
        "batch",
        "bulk",
        "optionally",
        "always",
    ];
    let from = if preface.contains(&lead) {
        words
            .iter()
            .position(|word| word == "to")
            .map(|at| at + 1)
            .or_else(|| words.iter().position(|word| !preface.contains(&word.as_str())))
    } else {
        Some(0)
    }?;
    words.iter().skip(from).take(2).find_map(|word| {
        let form = words::verb_forms(word).into_iter().find(|form| lexicon.verbs.contains_key(form))?;
        // A noun at the beginning ("Query language reference") says little.
        let category = lexicon.verbs.get(&form)?;
        Some((*category, word.clone()))
    })
}

/// The most severe action that a description mentions as a verb of its own.
fn mentioned(description: &str) -> Option<(Category, String)> {
    let lexicon = lexicon();
    words::of_text(description, DESCRIPTION_WORDS).into_iter().find_map(|word| {
        if lexicon.also_nouns.contains(&word) {
            return None;
        }
        let form = words::verb_forms(&word).into_iter().find(|form| lexicon.verbs.contains_key(form))?;
        let category = *lexicon.verbs.get(&form)?;
        (!lexicon.also_nouns.contains(&form) && category == Category::Destructive).then_some((category, word))
    })
}

/// What the arguments add: an argument that selects an action, or one whose text is run.
fn from_schema(schema: &Value, strength: Strength, so_far: Category) -> Option<(Category, String)> {
    let lexicon = lexicon();
    let properties = schema.get("properties")?.as_object()?;
    let mut best: Option<(Category, String)> = None;
    let mut raise = |category: Category, why: String| {
        if category > so_far && best.as_ref().is_none_or(|(known, _)| category > *known) {
            best = Some((category, why));
        }
    };
    for (argument, about) in properties {
        let plain = argument.to_lowercase();
        if lexicon.action_arguments.contains(&plain) {
            for choice in choices(about) {
                let http = ["POST", "PUT", "PATCH", "DELETE"].contains(&choice.as_str());
                let said = name::read(&choice);
                let class = if http { Category::Execute } else { said.category };
                if http || said.strength == Strength::Clear || lexicon.verbs.contains_key(&choice) {
                    raise(class, format!("`{argument}` can be `{choice}`"));
                }
            }
        }
        let text = about.get("type").is_none_or(|kind| kind == "string" || kind.is_array());
        let fixed = about.get("enum").is_some();
        if text && !fixed && strength != Strength::Clear && lexicon.code_arguments.contains(&plain) {
            raise(Category::Execute, format!("`{argument}` is run"));
        }
    }
    let has = |names: &[&str]| properties.keys().any(|key| names.contains(&key.to_lowercase().as_str()));
    let moves = has(&["amount", "amount_in", "value_in_eth", "lamports"])
        && has(&[
            "recipient",
            "to",
            "to_address",
            "destination",
            "payee",
            "beneficiary",
            "destination_account",
            "receiver",
        ]);
    if moves && so_far != Category::Read {
        raise(Category::Financial, "arguments are an amount and who gets it".to_owned());
    }
    best
}

/// The values that an argument may have: its enumeration, or what its description quotes.
fn choices(about: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut lists = vec![about];
    for key in ["anyOf", "oneOf"] {
        lists.extend(about.get(key).and_then(Value::as_array).into_iter().flatten());
    }
    for list in lists {
        let values = list.get("enum").and_then(Value::as_array).into_iter().flatten();
        let values = values.chain(list.get("const")).filter_map(Value::as_str);
        found.extend(values.take(MAX_CHOICES).map(str::to_owned));
    }
    if found.is_empty()
        && let Some(text) = about.get("description").and_then(Value::as_str)
    {
        let quoted = text.split(['"', '\'', '`']).skip(1).step_by(2);
        found.extend(quoted.take(50).filter(|word| word.len() < 40).map(str::to_owned));
    }
    found
}

/// What the server claims.
fn hints(tool: &Tool, category: &mut Category, evidence: &mut Vec<String>, unclear: bool, soft: bool) {
    let read_only = tool.hint("readOnlyHint");
    let destructive = tool.hint("destructiveHint");
    if read_only == Some(true) {
        if destructive == Some(true) {
            evidence.push("server says both read-only and destructive".to_owned());
        } else if soft && matches!(category, Category::Write | Category::Execute) {
            *category = Category::Read;
            evidence.insert(0, "server says read-only, and nothing contradicts".to_owned());
        }
        return;
    }
    if destructive == Some(true) && unclear && *category < Category::Destructive {
        *category = Category::Destructive;
        evidence.insert(0, "server says destructive, and nothing else tells".to_owned());
        return;
    }
    if read_only == Some(false) && unclear && *category == Category::Read {
        *category = Category::Write;
        evidence.insert(0, "server says not read-only".to_owned());
    }
}
