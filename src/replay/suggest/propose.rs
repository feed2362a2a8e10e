//! From an account of calls to proposals with their evidence.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::field::{Field, Spot};
use super::rate::WINDOWS;
use super::{Options, Seen, Study, ToolStudy};
use crate::json::canonical::quote;
use crate::json::pointer;
use crate::policy::document::Document;
use crate::policy::edit::{ConditionDraft, Edit, EditError, LimitDraft, Place, RuleDraft, apply};
use crate::policy::lint::UNAPPROVED;
use crate::policy::model::{Op, RuleList, Scope, Window};
use crate::policy::path::{self, Path, Step};
use crate::policy::state::{ToolState, condition_text};
use crate::risk::Profile;
use crate::time::Timestamp;
use crate::visible::visible;

/// How many examples a proposal shows.
const EXAMPLES: usize = 3;
/// The longest example, in characters.
const EXAMPLE: usize = 60;
/// What is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// What it rests on.
    pub seen: Seen,
    /// The margin, in percent.
    pub margin: u32,
    #[serde(skip)]
    portable: bool,
    /// Each tool's proposals together, the tools in the order of their names.
    pub proposals: Vec<Proposal>,
    /// Arguments that are left alone, and why.
    pub open: Vec<LeftOpen>,
}

/// What a proposal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposalKind {
    /// The tool may be called.
    Allow,
    /// The tool is hidden: it was not used.
    Hide,
    /// An argument is bounded.
    Bound,
    /// Calls are limited.
    Limit,
}

impl ProposalKind {
    /// The word for it on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hide => "hide",
            Self::Bound => "bound",
            Self::Limit => "limit",
        }
    }
}

/// One thing that is proposed, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// What it is about.
    pub kind: ProposalKind,
    /// The tool.
    pub tool: String,
    /// The argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From the tightest to the widest; at least one.
    pub choices: Vec<Choice>,
    /// Which of them is proposed.
    pub chosen: usize,
    /// Why it is not part of the policy; `None`: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// What it rests on.
    pub evidence: Evidence,
}

/// One way to say what is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// In one line, harmless on a terminal.
    pub text: String,
    /// What it does to a policy that says nothing of it yet.
    #[serde(skip)]
    pub edits: Vec<Edit>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evidence {
    /// Calls of the tool.
    pub calls: u64,
    /// How often the argument was given; of elements of arrays, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<u64>,
    /// How many different values it had; absent when they are more than 64, or were not told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<usize>,
    /// The most frequent values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// The smallest and the largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(String, String)>,
    /// The most elements that an array had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<usize>,
    /// The most calls of one grant within a window, and when that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<(u64, Timestamp)>,
    /// When the tool was first called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// When the tool was last called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// An argument of which nothing is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOpen {
    /// The tool.
    pub tool: String,
    /// The argument.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Evidence {
    /// In a few words, harmless on a terminal.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.given {
            Some(given) if given != self.calls => parts.push(format!("{given} in {} calls", self.calls)),
            _ if self.calls == 1 => parts.push("1 call".to_owned()),
            _ => parts.push(format!("{} calls", self.calls)),
        }
        if let Some((least, most)) = &self.range {
            parts.push(if least == most { format!("always {least}") } else { format!("{least} to {most}") });
        }
        if let Some(most) = self.elements {
            parts.push(format!("up to {most} elements"));
        }
        if let Some((calls, at)) = self.peak {
            let at = at.to_string();
            let minute = at.get(..16).unwrap_or(&at).replace('T', " ");
            parts.push(format!("peak {calls} at {minute}"));
        }
        match self.distinct {
            Some(1) => parts.push("1 value".to_owned()),
            Some(distinct) => parts.push(format!("{distinct} values")),
            None if !self.examples.is_empty() => parts.push("more than 64 values".to_owned()),
            None => {}
        }
        if !self.examples.is_empty() {
            let shown: Vec<String> = self.examples.iter().map(|text| visible(text).into_owned()).collect();
            parts.push(format!("e.g. {}", shown.join(", ")));
        }
        parts.join("; ")
    }
}

impl Proposal {
    /// The proposed choice.
    pub fn choice(&self) -> Option<&Choice> {
        self.choices.get(self.chosen)
    }

    /// Takes the next wider choice; `false` when there is none.
    pub fn widen(&mut self) -> bool {
        let wider = self.chosen + 1 < self.choices.len();
        self.chosen += usize::from(wider);
        wider
    }

    /// Whether it is part of the policy.
    pub fn in_force(&self) -> bool {
        self.dropped.is_none()
    }
}

impl Suggestion {
    /// The policy that the proposals in force amount to, marked as one that nobody has accepted.
    ///
    /// # Errors
    /// When an edit does not fit: two proposals of one counter, for instance.
    pub fn text(&self) -> Result<String, EditError> {
        let mut edits = Vec::new();
        if !self.portable {
            edits.push(Edit::SetDescription(Some(self.mark())));
        }
        edits.extend(self.edits());
        apply(&Document::new_text(), &Edit::Batch(edits))
    }

    /// What the proposals in force do, in their order.
    pub fn edits(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut hide = Vec::new();
        for proposal in self.proposals.iter().filter(|proposal| proposal.in_force()) {
            if proposal.kind == ProposalKind::Hide {
                hide.push(proposal.tool.clone());
            } else {
                edits.extend(proposal.choice().into_iter().flat_map(|choice| choice.edits.iter().cloned()));
            }
        }
        if !hide.is_empty() {
            // One pass, however many they are.
            edits.push(Edit::SetState { tools: hide, state: ToolState::Hide });
        }
        edits
    }

    /// The description of the policy: where it comes from, and how it is accepted.
    fn mark(&self) -> String {
        let day = |ts: Option<Timestamp>| {
            ts.map_or_else(|| "-".to_owned(), |ts| ts.to_string().chars().take(10).collect())
        };
        format!(
            "{UNAPPROVED} suggested from {} allowed calls of {} to {}, with a margin of {} percent. To accept it, review it and take this description away.",
            self.seen.calls,
            day(self.seen.since),
            day(self.seen.until),
            self.margin
        )
    }

    /// Drops the proposals that pointers into [`Suggestion::text`] belong to, because recorded calls
    /// were denied by them, each with why; answers with how many were dropped.
    pub fn refute(&mut self, refused: &HashMap<String, String>) -> usize {
        let mut indices: HashMap<(String, &'static str), usize> = HashMap::new();
        let mut dropped = 0;
        for proposal in self.proposals.iter_mut().filter(|proposal| proposal.dropped.is_none()) {
            let edits = proposal.choices.get(proposal.chosen).map_or(&[][..], |choice| &choice.edits);
            for edit in edits {
                let (tool, list) = match edit {
                    Edit::AddRule { tool, list, .. } => (tool, list.key()),
                    Edit::AddLimit { place: Place::Tool(tool), .. } => (tool, "limits"),
                    _ => continue,
                };
                let index = indices.entry((tool.clone(), list)).or_insert(0);
                let mut at = "/tools".to_owned();
                pointer::push(&mut at, tool);
                let at = format!("{at}/{list}/{index}");
                *index += 1;
                if let (Some(why), None) = (refused.get(&at), &proposal.dropped) {
                    proposal.dropped = Some(why.clone());
                    dropped += 1;
                }
            }
        }
        dropped
    }
}

pub(super) fn suggest(study: &Study, options: Options, server: Option<&[String]>) -> Suggestion {
    let tools: BTreeMap<&String, &ToolStudy> = study.tools.iter().collect();
    let mut suggestion = Suggestion {
        seen: study.seen(),
        margin: options.margin,
        portable: options.portable,
        proposals: Vec::new(),
        open: Vec::new(),
    };
    for (name, tool) in &tools {
        let mut proposer = Proposer { name, tool, options, out: &mut suggestion };
        proposer.allow();
        proposer.arguments();
        proposer.limits();
    }
    if options.profile != Profile::Open {
        let mut unused: Vec<&String> =
            server.unwrap_or_default().iter().filter(|name| !study.tools.contains_key(*name)).collect();
        unused.sort();
        unused.dedup();
        for name in unused {
            let edits = vec![Edit::SetState { tools: vec![name.clone()], state: ToolState::Hide }];
            suggestion.proposals.push(Proposal {
                kind: ProposalKind::Hide,
                tool: name.clone(),
                path: None,
                choices: vec![Choice { text: "no call needed it".to_owned(), edits }],
                chosen: 0,
                dropped: None,
                evidence: Evidence::default(),
            });
        }
    }
    suggestion
}

struct Proposer<'p> {
    name: &'p str,
    tool: &'p ToolStudy,
    options: Options,
    out: &'p mut Suggestion,
}

impl Proposer<'_> {
    fn evidence(&self) -> Evidence {
        Evidence {
            calls: self.tool.calls,
            first: Some(self.tool.first),
            last: Some(self.tool.last),
            ..Evidence::default()
        }
    }

    fn push(&mut self, kind: ProposalKind, path: Option<&str>, choices: Vec<Choice>, evidence: Evidence) {
        let (tool, path) = (self.name.to_owned(), path.map(str::to_owned));
        self.out.proposals.push(Proposal { kind, tool, path, choices, chosen: 0, dropped: None, evidence });
    }

    fn leave(&mut self, path: &str, why: &str) {
        let (tool, path) = (self.name.to_owned(), path.to_owned());
        self.out.open.push(LeftOpen { tool, path, why: why.to_owned() });
    }

    fn allow(&mut self) {
        let edits = vec![Edit::SetState { tools: vec![self.name.to_owned()], state: ToolState::Allow }];
        let choice = Choice { text: "it was called".to_owned(), edits };
        self.push(ProposalKind::Allow, None, vec![choice], self.evidence());
    }

    /// The margin and two wider ones.
    fn margins(&self) -> [u32; 3] {
        let margin = self.options.margin;
        let wide = margin.max(25);
        [margin, wide.saturating_mul(2), wide.saturating_mul(8)]
    }

    fn arguments(&mut self) {
        if self.tool.arguments.is_lost() {
            return self.leave("args", "of some calls the arguments were not recorded");
        }
        for spot in self.tool.arguments.spots() {
            let field = spot.field;
            if self.options.portable && !portable(&spot.path) {
                self.leave(&spot.path, "bounding it is an extension of the format");
                continue;
            }
            match field.only_type() {
                _ if field.is_lost() => {
                    self.leave(&spot.path, "some values were masked or too large to be recorded");
                }
                Some("object") => {}
                _ if field.count() < self.options.least() => {
                    self.leave(&spot.path, "it was given too seldom to say what is usual");
                }
                Some("number") => self.number(&spot),
                Some("string") => self.string(&spot),
                Some("boolean") => self.boolean(&spot),
                Some("array") => self.length(&spot),
                _ => self.leave(&spot.path, "its values are of several types"),
            }
        }
    }

    fn given(&self, field: &Field) -> Evidence {
        Evidence { given: Some(field.count()), ..self.evidence() }
    }

    /// The edits that demand conditions of an argument: in `require` where every call has it, else
    /// their opposites in `deny_if`, which a call without it passes.
    fn demand(&self, spot: &Spot<'_>, conditions: &[(Op, Op, String)]) -> Choice {
        let path = &spot.path;
        let draft = |op, value: &String| ConditionDraft { path: path.clone(), op, value: value.clone() };
        let tool = || self.name.to_owned();
        let says = conditions.iter().map(|(op, _, value)| condition_text(path, *op, value));
        let says: Vec<String> = says.collect();
        if spot.always {
            let conditions = conditions.iter().map(|(op, _, value)| draft(*op, value)).collect();
            let rule = RuleDraft { conditions, message: None, timeout: None };
            let edits = vec![Edit::AddRule { tool: tool(), list: RuleList::Require, rule }];
            return Choice { text: says.join(" and "), edits };
        }
        let edits = conditions.iter().map(|(_, opposite, value)| {
            let mut conditions = vec![draft(*opposite, value)];
            if matches!(opposite, Op::Neq | Op::NotIn) {
                // Said outright, so that nobody wonders about a call without it.
                conditions.insert(0, draft(Op::Exists, &"true".to_owned()));
            }
            let rule = RuleDraft { conditions, message: None, timeout: None };
            Edit::AddRule { tool: tool(), list: RuleList::DenyIf, rule }
        });
        Choice { text: format!("{}, if given", says.join(" and ")), edits: edits.collect() }
    }

    fn number(&mut self, spot: &Spot<'_>) {
        let numbers = &spot.field.numbers;
        let mut choices: Vec<Choice> = Vec::new();
        for margin in self.margins() {
            if let Some((low, high)) = numbers.bounds(margin) {
                let choice = self.demand(spot, &[(Op::Gte, Op::Lt, low), (Op::Lte, Op::Gt, high)]);
                if choices.last().is_none_or(|last| last.text != choice.text) {
                    choices.push(choice);
                }
            }
        }
        if choices.is_empty() {
            return self.leave(&spot.path, "its numbers are too large to be bounded");
        }
        let evidence = Evidence { range: numbers.range(), ..self.given(spot.field) };
        self.push(ProposalKind::Bound, Some(&spot.path), choices, evidence);
    }

    fn boolean(&mut self, spot: &Spot<'_>) {
        if self.options.profile == Profile::Open {
            return;
        }
        let [no, yes] = spot.field.bools;
        if no > 0 && yes > 0 {
            return self.leave(&spot.path, "both values were given");
        }
        let value = (yes > 0).to_string();
        let choice = self.demand(spot, &[(Op::Eq, Op::Neq, value.clone())]);
        let evidence = Evidence { distinct: Some(1), examples: vec![value], ..self.given(spot.field) };
        self.push(ProposalKind::Bound, Some(&spot.path), vec![choice], evidence);
    }

    fn string(&mut self, spot: &Spot<'_>) {
        if self.options.profile == Profile::Open {
            return;
        }
        let texts = &spot.field.texts;
        let most = if self.options.profile == Profile::Strict { 16 } else { 8 };
        let [margin, wider, _] = self.margins();
        let mut choices: Vec<Choice> = Vec::new();
        if let Some(values) = texts.choices(most) {
            let mut list = String::from("[");
            for value in &values {
                if list.len() > 1 {
                    list.push_str(", ");
                }
                quote(value, &mut list);
            }
            list.push(']');
            choices.push(self.demand(spot, &[(Op::In, Op::NotIn, list)]));
        }
        let mut patterns: Vec<String> = Vec::new();
        if spot.always {
            patterns.extend(texts.shaped(margin));
            patterns.extend(texts.shaped(wider));
            patterns.extend(texts.spelt(margin));
            patterns.extend(texts.spelt(wider));
        }
        patterns.dedup();
        for pattern in patterns {
            let mut value = String::new();
            quote(&pattern, &mut value);
            choices.push(self.demand(spot, &[(Op::Regex, Op::Regex, value)]));
        }
        // What never occurred can be denied also where the argument may be left out.
        if let Some(pattern) = texts.foreign() {
            let mut value = String::new();
            quote(&pattern, &mut value);
            let rule = RuleDraft::when(&spot.path, Op::Regex, &value);
            let edits = vec![Edit::AddRule { tool: self.name.to_owned(), list: RuleList::DenyIf, rule }];
            let text = format!("deny if {}", condition_text(&spot.path, Op::Regex, &value));
            choices.push(Choice { text, edits });
        }
        if choices.is_empty() {
            return self.leave(&spot.path, "free text: it has neither few values nor a shape");
        }
        let cut = |text: String| -> String {
            if text.chars().count() <= EXAMPLE {
                return text;
            }
            text.chars().take(EXAMPLE - 1).chain(['…']).collect()
        };
        let evidence = Evidence {
            distinct: texts.distinct(),
            examples: texts.examples(EXAMPLES).into_iter().map(cut).collect(),
            ..self.given(spot.field)
        };
        self.push(ProposalKind::Bound, Some(&spot.path), choices, evidence);
    }

    /// How many elements an array may have: one beyond them must not exist.
    fn length(&mut self, spot: &Spot<'_>) {
        let field = spot.field;
        // A number cannot follow `[*]` for each of its arrays in a way that people read.
        if self.options.portable || spot.ranges || self.options.profile == Profile::Open {
            return;
        }
        let mut choices: Vec<Choice> = Vec::new();
        for margin in self.margins() {
            let most = field.most_elements as u64;
            let most = most + (most * u64::from(margin)).div_ceil(100);
            let path = format!("{}.{most}", spot.path);
            if Path::parse(&path).is_err() {
                return;
            }
            let rule = RuleDraft::when(&path, Op::Exists, "true");
            let edits = vec![Edit::AddRule { tool: self.name.to_owned(), list: RuleList::DenyIf, rule }];
            let name = spot.path.strip_prefix("args.").unwrap_or(&spot.path);
            let text = format!("{} has at most {most} elements", visible(name));
            if choices.last().is_none_or(|last| last.text != text) {
                choices.push(Choice { text, edits });
            }
        }
        let evidence = Evidence { elements: Some(field.most_elements), ..self.given(field) };
        self.push(ProposalKind::Bound, Some(&spot.path), choices, evidence);
    }

    fn limits(&mut self) {
        for (window, length) in [Window::Minute, Window::Day].into_iter().zip(WINDOWS) {
            let Some(peak) = self.tool.rates.peak(length) else { continue };
            // What a day holds is no news where a minute held as much: the day's limit says it.
            if window == Window::Minute
                && self.tool.rates.peak(86_400).is_some_and(|day| day.calls == peak.calls)
            {
                continue;
            }
            let mut choices: Vec<Choice> = Vec::new();
            for margin in self.margins() {
                let room = peak.calls.saturating_mul(u64::from(margin)).div_ceil(100);
                let max = peak.calls.saturating_add(room.max(1));
                let unit = if window == Window::Minute { "rate" } else { "day" };
                let draft = LimitDraft {
                    counter: format!("{}_{unit}", self.name),
                    scope: Some(Scope::Grant),
                    ..LimitDraft::calls(self.name, max, window)
                };
                let text = draft.summary();
                if choices.last().is_none_or(|last| last.text != text) {
                    let place = Place::Tool(self.name.to_owned());
                    choices.push(Choice { text, edits: vec![Edit::AddLimit { place, limit: draft }] });
                }
            }
            let evidence = Evidence { peak: Some((peak.calls, peak.at)), ..self.evidence() };
            self.push(ProposalKind::Limit, None, choices, evidence);
        }
    }
}

/// Whether a path is one of PolicyLayer's documented format.
fn portable(text: &str) -> bool {
    let Ok(parsed) = Path::parse(text) else { return false };
    let plain = |step: &Step| match step {
        Step::Name(name) => {
            let mut escaped = String::new();
            path::escape(name, &mut escaped);
            escaped == *name
        }
        Step::Number { .. } | Step::Each => false,
    };
    parsed.steps().iter().all(plain)
}
