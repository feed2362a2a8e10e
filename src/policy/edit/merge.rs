//! Two texts that began from one, brought together key by key.
//!
//! Members of objects are told apart by their names; limits by counter and window; rules and
//! conditions by what they say; everything in a list of plain values by its value. What only one
//! side changed is taken as that side wrote it, byte for byte; what both changed in the same way is
//! taken once; the rest are [`Conflict`]s, for a person to choose. The layout of the result is that
//! of the file on disk, with the parts of the other side put in as their neighbours are written.

mod lists;
#[doc(hidden)]
pub mod total;

use std::collections::HashMap;

use super::style::{Context, Style};
use super::tree::{Container, Item, New, Tree, after_newline};
use crate::json::{self, ParseError};

/// Which side a conflict is decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The text that is edited here.
    Mine,
    /// The file on disk.
    Theirs,
    /// Both, one after the other; only where [`Conflict::both`] says so, else as `Mine`.
    Both,
}

/// A part that both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The way to it, from the root: names of members, and of elements what tells them apart.
    pub place: Vec<String>,
    /// Its JSON on one line before both changes; `None`: it was not there.
    pub base: Option<String>,
    /// What it is here; `None`: it was taken away.
    pub mine: Option<String>,
    /// What it is in the file; `None`: it was taken away.
    pub theirs: Option<String>,
    /// Whether both can stand beside each other.
    pub both: bool,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text: always JSON, though it may be a policy with an error of its own.
    pub text: String,
    /// What had to be chosen, in the order of the choices. It does not depend on them.
    pub conflicts: Vec<Conflict>,
}

/// Why texts cannot be merged key by key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// One of them is not JSON.
    #[error("{0} is not JSON: {1}")]
    NotJson(Side, ParseError),
    /// A member stands twice in one of them: its name does not tell which is meant.
    #[error("{0} holds a member twice")]
    Duplicate(Side),
    /// One of them is no object.
    #[error("{0} is no object")]
    NoObject(Side),
}

/// One of the three texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What both began from.
    Base,
    /// What is edited here.
    Mine,
    /// The file on disk.
    Theirs,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Base => "the text that both began from",
            Self::Mine => "the text here",
            Self::Theirs => "the file",
        })
    }
}

/// Merges two texts that began from `base`. A conflict without a choice is decided for `mine`.
///
/// # Errors
/// When one of the texts cannot be read as an object whose members differ in name.
pub fn merge(base: &str, mine: &str, theirs: &str, choices: &[Choice]) -> Result<Merged, MergeError> {
    let base_tree = tree(base, Side::Base)?;
    let (mine_tree, theirs_tree) = (tree(mine, Side::Mine)?, tree(theirs, Side::Theirs)?);
    let whole = |text: &str| Ok(Merged { text: text.to_owned(), conflicts: Vec::new() });
    if theirs == base || mine == theirs {
        return whole(mine);
    }
    if mine == base {
        return whole(theirs);
    }
    let parsed = json::parse(theirs).map_err(|error| MergeError::NotJson(Side::Theirs, error))?;
    let head = theirs.get(..parsed.root.span.start).unwrap_or("");
    let tail = theirs.get(parsed.root.span.end..).unwrap_or("");
    let Some(root) = theirs_tree.object() else { return Err(MergeError::NoObject(Side::Theirs)) };
    let style = Style::of(theirs, root);
    let context = Context { indent: after_newline(head).unwrap_or("").to_owned(), inline: style.one_line() };
    let mut merger = Merger { style, choices, conflicts: Vec::new(), place: Vec::new() };
    let tree = merger.value(Some(&base_tree), &mine_tree, &theirs_tree, &context);
    let mut text = String::with_capacity(theirs.len() + mine.len() / 8);
    text.push_str(head);
    tree.print(&mut text);
    text.push_str(tail);
    Ok(Merged { text, conflicts: merger.conflicts })
}

fn tree(text: &str, side: Side) -> Result<Tree<'_>, MergeError> {
    let parsed = json::parse(text).map_err(|error| MergeError::NotJson(side, error))?;
    if !parsed.duplicates.is_empty() {
        return Err(MergeError::Duplicate(side));
    }
    match Tree::of(&parsed.root, text) {
        tree @ Tree::Object(_) => Ok(tree),
        _ => Err(MergeError::NoObject(side)),
    }
}

struct Merger<'c> {
    style: Style,
    choices: &'c [Choice],
    conflicts: Vec<Conflict>,
    place: Vec<String>,
}

/// What becomes of a part that may be absent.
enum Part<'t> {
    Gone,
    Is(Tree<'t>),
    /// Only for elements: mine, then theirs.
    Both(Tree<'t>, Tree<'t>),
}

impl Merger<'_> {
    /// A value that both sides have.
    fn value<'t>(
        &mut self,
        base: Option<&Tree<'t>>,
        mine: &Tree<'t>,
        theirs: &Tree<'t>,
        context: &Context,
    ) -> Tree<'t> {
        if let Some(one) = settled(base, mine, theirs) {
            return one.clone();
        }
        match (mine, theirs) {
            (Tree::Object(here), Tree::Object(there)) => {
                let none = Container::default();
                let was = base.and_then(Tree::object).unwrap_or(&none);
                if self.bounds_differ(was, here, there) {
                    return self.choose(base, mine, theirs);
                }
                Tree::Object(self.objects(Sides { base: was, mine: here, theirs: there }, context))
            }
            (Tree::Array(here), Tree::Array(there)) => {
                let none = Container::default();
                let was = base.and_then(Tree::array).unwrap_or(&none);
                let sides = Sides { base: was, mine: here, theirs: there };
                match self.arrays(sides, context) {
                    Some(merged) => Tree::Array(merged),
                    None => self.choose(base, mine, theirs),
                }
            }
            _ => self.choose(base, mine, theirs),
        }
    }

    /// A value that a person has to choose.
    fn choose<'t>(&mut self, base: Option<&Tree<'t>>, mine: &Tree<'t>, theirs: &Tree<'t>) -> Tree<'t> {
        match self.conflict(base, Some(mine), Some(theirs), false) {
            Choice::Theirs => theirs.clone(),
            Choice::Mine | Choice::Both => mine.clone(),
        }
    }

    fn conflict(
        &mut self,
        base: Option<&Tree<'_>>,
        mine: Option<&Tree<'_>>,
        theirs: Option<&Tree<'_>>,
        both: bool,
    ) -> Choice {
        let choice = self.choices.get(self.conflicts.len()).copied().unwrap_or(Choice::Mine);
        let (base, mine, theirs) = (base.map(one_line), mine.map(one_line), theirs.map(one_line));
        self.conflicts.push(Conflict { place: self.place.clone(), base, mine, theirs, both });
        if choice == Choice::Both && !both { Choice::Mine } else { choice }
    }

    /// A part that at least one side has, or had.
    fn part<'t>(&mut self, of: &Of<'_, 't>, rule: bool, context: &Context) -> Part<'t> {
        let (left, other) = match (of.mine, of.theirs) {
            (Some(mine), Some(theirs)) if rule => return self.rule(of.base, mine, theirs, context),
            (Some(mine), Some(theirs)) => return Part::Is(self.value(of.base, mine, theirs, context)),
            (None, None) => return Part::Gone,
            (Some(one), None) => (one, Choice::Mine),
            (None, Some(one)) => (one, Choice::Theirs),
        };
        let Some(base) = of.base else { return Part::Is(left.clone()) };
        // One side took away what the other left as it was, or the person decides.
        if same(base, left) || self.conflict(Some(base), of.mine, of.theirs, false) != other {
            return Part::Gone;
        }
        Part::Is(left.clone())
    }

    /// A rule that both sides have: what does not fit together in it concerns the whole of it, and
    /// both can stand beside each other.
    fn rule<'t>(
        &mut self,
        base: Option<&Tree<'t>>,
        mine: &Tree<'t>,
        theirs: &Tree<'t>,
        context: &Context,
    ) -> Part<'t> {
        let before = self.conflicts.len();
        let merged = self.value(base, mine, theirs, context);
        if self.conflicts.len() == before {
            return Part::Is(merged);
        }
        self.conflicts.truncate(before);
        match self.conflict(base, Some(mine), Some(theirs), true) {
            Choice::Mine => Part::Is(mine.clone()),
            Choice::Theirs => Part::Is(theirs.clone()),
            Choice::Both => Part::Both(mine.clone(), theirs.clone()),
        }
    }

    /// Whether both sides changed what a limit bounds: its number and its window mean something only
    /// together.
    fn bounds_differ(&self, base: &Container<'_>, mine: &Container<'_>, theirs: &Container<'_>) -> bool {
        let limit = match self.place.as_slice() {
            [.., list, _] if list == "limits" => true,
            [.., last] => last == "rate_limit",
            [] => false,
        };
        let equal = |a: &Container<'_>, b: &Container<'_>| {
            ["max", "window", "increment_from"].iter().all(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => same(a, b),
                (a, b) => a.is_none() && b.is_none(),
            })
        };
        limit && !equal(base, mine) && !equal(base, theirs) && !equal(mine, theirs)
    }

    fn objects<'t>(&mut self, sides: Sides<'_, 't>, context: &Context) -> Container<'t> {
        let triples = named(&sides);
        let (mine, theirs) = orders(&triples);
        self.weave(sides, &triples, theirs.is_sorted() && !mine.is_sorted(), Kind::Members, context)
    }

    /// Puts the parts together in the order of one side: the file's, unless only this side changed
    /// the order. What only the other side has comes after what it comes after there.
    fn weave<'t>(
        &mut self,
        sides: Sides<'_, 't>,
        triples: &[Triple],
        frame_is_mine: bool,
        kind: Kind,
        context: &Context,
    ) -> Container<'t> {
        let (frame, other) =
            if frame_is_mine { (sides.mine, sides.theirs) } else { (sides.theirs, sides.mine) };
        let in_frame = |it: &Triple| if frame_is_mine { it.mine } else { it.theirs };
        let in_other = |it: &Triple| if frame_is_mine { it.theirs } else { it.mine };
        let mut of_frame = vec![None; frame.items.len()];
        let mut of_other = vec![None; other.items.len()];
        for triple in triples {
            for (slots, at) in [(&mut of_frame, in_frame(triple)), (&mut of_other, in_other(triple))] {
                if let Some(slot) = at.and_then(|at| slots.get_mut(at)) {
                    *slot = Some(triple);
                }
            }
        }
        let mut out = frame.clone();
        let mut keep = vec![true; out.items.len()];
        let mut added: Vec<(usize, Item<'t>)> = Vec::new();
        for (at, triple) in of_frame.iter().enumerate() {
            let (Some(triple), Some(item)) = (triple, frame.items.get(at)) else { continue };
            let inner = frame.context(at, context, &self.style);
            self.place.push(kind.label(item, at));
            let part = self.part(&sides.of(triple), kind == Kind::Rules, &inner);
            self.place.pop();
            let (Some(slot), Some(keep)) = (out.items.get_mut(at), keep.get_mut(at)) else { continue };
            match part {
                Part::Is(value) => slot.value = value,
                Part::Gone => *keep = false,
                Part::Both(mine, theirs) => {
                    slot.value = mine;
                    added.push((at + 1, Item { value: theirs, ..item.clone() }));
                }
            }
        }
        let mut after = 0;
        for (at, triple) in of_other.iter().enumerate() {
            let (Some(triple), Some(item)) = (triple, other.items.get(at)) else { continue };
            if let Some(at) = in_frame(triple) {
                after = at + 1;
                continue;
            }
            self.place.push(kind.label(item, at));
            let part = self.part(&sides.of(triple), kind == Kind::Rules, context);
            self.place.pop();
            if let Part::Is(value) = part {
                added.push((after, Item { value, ..item.clone() }));
            }
        }
        added.sort_by_key(|(at, _)| *at);
        // From the end on, so that what comes before keeps its place.
        for (at, item) in added.into_iter().rev() {
            self.put(&mut out, at, item, context);
            keep.insert(at.min(keep.len()), true);
        }
        let mut keep = keep.into_iter();
        out.retain(|_| keep.next().unwrap_or(true));
        out
    }

    fn put<'t>(&self, out: &mut Container<'t>, at: usize, item: Item<'t>, context: &Context) {
        let indent = after_newline(&item.before).map(str::to_owned);
        out.insert(at, name(&item), &new(&item.value), &self.style, context);
        // Where it stands as deep as before, its own bytes fit.
        if let Some(placed) = out.items.get_mut(at)
            && (item.value.is_single_line() || after_newline(&placed.before) == indent.as_deref())
        {
            placed.value = item.value;
        }
    }
}

/// The three containers of a merge.
#[derive(Clone, Copy)]
struct Sides<'a, 't> {
    base: &'a Container<'t>,
    mine: &'a Container<'t>,
    theirs: &'a Container<'t>,
}

/// The three values of one part.
struct Of<'a, 't> {
    base: Option<&'a Tree<'t>>,
    mine: Option<&'a Tree<'t>>,
    theirs: Option<&'a Tree<'t>>,
}

impl<'a, 't> Sides<'a, 't> {
    fn of(&self, triple: &Triple) -> Of<'a, 't> {
        let value = |container: &'a Container<'t>, at: Option<usize>| {
            container.items.get(at?).map(|item| &item.value)
        };
        Of {
            base: value(self.base, triple.base),
            mine: value(self.mine, triple.mine),
            theirs: value(self.theirs, triple.theirs),
        }
    }
}

/// Where one part stands in each of the three containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Triple {
    base: Option<usize>,
    mine: Option<usize>,
    theirs: Option<usize>,
}

/// What the items of a container are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Members,
    Limits,
    Rules,
    Plain,
}

impl Kind {
    /// What tells an item apart, for people.
    fn label(self, item: &Item<'_>, at: usize) -> String {
        let text = match self {
            Self::Members => name(item).map(str::to_owned),
            Self::Limits => item.value.object().and_then(|limit| limit.get("counter")?.as_str()),
            Self::Plain => item.value.as_str(),
            Self::Rules => None,
        };
        text.unwrap_or_else(|| (at + 1).to_string())
    }
}

/// Members, told apart by their names.
fn named(sides: &Sides<'_, '_>) -> Vec<Triple> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut triples: Vec<Triple> = Vec::new();
    let all = [sides.base, sides.mine, sides.theirs];
    for (side, container) in all.into_iter().enumerate() {
        for (at, item) in container.items.iter().enumerate() {
            let Some(name) = name(item) else { continue };
            let index = *known.entry(name).or_insert_with(|| {
                triples.push(Triple::default());
                triples.len() - 1
            });
            if let Some(triple) = triples.get_mut(index) {
                match side {
                    0 => triple.base = Some(at),
                    1 => triple.mine = Some(at),
                    _ => triple.theirs = Some(at),
                }
            }
        }
    }
    triples
}

/// The order, by their places in the base, of what all three have: here, and in the file.
fn orders(triples: &[Triple]) -> (Vec<usize>, Vec<usize>) {
    let mut all: Vec<(usize, usize, usize)> =
        triples.iter().filter_map(|it| Some((it.base?, it.mine?, it.theirs?))).collect();
    all.sort_unstable_by_key(|(_, mine, _)| *mine);
    let mine = all.iter().map(|(base, _, _)| *base).collect();
    all.sort_unstable_by_key(|(_, _, theirs)| *theirs);
    (mine, all.iter().map(|(base, _, _)| *base).collect())
}

/// What needs no choice: one side is as it was, or both are the same.
fn settled<'a, 't>(
    base: Option<&Tree<'t>>,
    mine: &'a Tree<'t>,
    theirs: &'a Tree<'t>,
) -> Option<&'a Tree<'t>> {
    if let Some(base) = base {
        if theirs == base {
            return Some(mine);
        }
        if mine == base {
            return Some(theirs);
        }
    }
    if same(mine, theirs) || base.is_some_and(|base| same(base, mine)) {
        return Some(theirs);
    }
    base.filter(|base| same(base, theirs)).map(|_| mine)
}

/// Whether both say the same, however they are laid out.
fn same(a: &Tree<'_>, b: &Tree<'_>) -> bool {
    a == b || a.says(&new(b))
}

fn new(tree: &Tree<'_>) -> New {
    match tree {
        Tree::Leaf(raw) => New::Leaf(raw.clone().into_owned()),
        Tree::Object(container) => New::Object(
            container
                .items
                .iter()
                .map(|item| (name(item).unwrap_or_default().to_owned(), new(&item.value)))
                .collect(),
        ),
        Tree::Array(container) => New::Array(container.items.iter().map(|item| new(&item.value)).collect()),
    }
}

fn name<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    item.key.as_ref().map(|key| &*key.name)
}

/// A value on one line, its order and spelling kept.
fn one_line(tree: &Tree<'_>) -> String {
    fn write(tree: &Tree<'_>, out: &mut String) {
        let (container, open, close) = match tree {
            Tree::Leaf(raw) => return out.push_str(raw),
            Tree::Object(container) => (container, '{', '}'),
            Tree::Array(container) => (container, '[', ']'),
        };
        out.push(open);
        for (index, item) in container.items.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            if let Some(name) = name(item) {
                json::canonical::quote(name, out);
                out.push_str(": ");
            }
            write(&item.value, out);
        }
        out.push(close);
    }
    let mut text = String::new();
    write(tree, &mut text);
    text
}

#[cfg(test)]
mod tests;
