//! Elements of lists: which of one text is which of another.

use std::collections::HashMap;

use super::{Kind, Merger, Sides, Triple, orders};
use crate::policy::edit::style::Context;
use crate::policy::edit::tree::{Container, Item, Tree};

impl Merger<'_> {
    /// A list that both sides changed; `None`: it has to be chosen as a whole.
    pub(super) fn arrays<'t>(&mut self, sides: Sides<'_, 't>, context: &Context) -> Option<Container<'t>> {
        let kind = match self.place.last().map(String::as_str) {
            Some("limits") => Kind::Limits,
            Some("require" | "deny_if" | "approve_if") => Kind::Rules,
            Some("hide") => Kind::Plain,
            // All conditions of a rule hold together: one more from each side would make a rule that
            // neither wanted. The same goes for the values of a condition.
            _ => return None,
        };
        let triples = paired(&sides, kind);
        let (mine, theirs) = orders(&triples);
        if !mine.is_sorted() && !theirs.is_sorted() && mine != theirs {
            return None;
        }
        Some(self.weave(sides, &triples, theirs.is_sorted() && !mine.is_sorted(), kind, context))
    }
}

/// Elements, told apart by what they say.
fn paired(sides: &Sides<'_, '_>, kind: Kind) -> Vec<Triple> {
    let mine = pairs(sides.base, sides.mine, kind);
    let theirs = pairs(sides.base, sides.theirs, kind);
    let mut triples: Vec<Triple> = (0..)
        .zip(mine.iter().zip(&theirs))
        .map(|(base, (mine, theirs))| Triple { base: Some(base), mine: *mine, theirs: *theirs })
        .collect();
    // What both added is taken once where it is the same.
    let rest = |container: &Container<'_>, taken: &[Option<usize>]| -> Vec<usize> {
        let taken: std::collections::HashSet<usize> = taken.iter().flatten().copied().collect();
        (0..container.items.len()).filter(|at| !taken.contains(at)).collect()
    };
    let (own, other) = (rest(sides.mine, &mine), rest(sides.theirs, &theirs));
    let part = |container: &Container<'_>, places: &[usize]| -> Vec<Option<String>> {
        places.iter().map(|at| container.items.get(*at).map(|item| identity(item, kind))).collect()
    };
    let there = part(sides.theirs, &other);
    let mut used = vec![false; other.len()];
    for (at, says) in own.iter().zip(part(sides.mine, &own)) {
        let found = there.iter().zip(&used).position(|(it, used)| !used && it.is_some() && *it == says);
        if let Some(slot) = found.and_then(|found| used.get_mut(found)) {
            *slot = true;
        }
        let theirs = found.and_then(|found| other.get(found).copied());
        triples.push(Triple { base: None, mine: Some(*at), theirs });
    }
    let alone = other.iter().zip(&used).filter(|(_, used)| !**used);
    triples.extend(alone.map(|(at, _)| Triple { base: None, mine: None, theirs: Some(*at) }));
    triples
}

/// For each element of `base`, which of `other` it has become.
fn pairs(base: &Container<'_>, other: &Container<'_>, kind: Kind) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; base.items.len()];
    let mut free: Vec<bool> = vec![true; other.items.len()];
    let steps: &[fn(&Item<'_>) -> String] = match kind {
        Kind::Rules => &[says, conditions, paths],
        Kind::Limits => &[says, counter_and_window, counter],
        Kind::Plain | Kind::Members => &[says],
    };
    for step in steps {
        let mut places: HashMap<String, std::collections::VecDeque<usize>> = HashMap::new();
        for (at, item) in other.items.iter().enumerate().filter(|(at, _)| free.get(*at) == Some(&true)) {
            places.entry(step(item)).or_default().push_back(at);
        }
        for (slot, item) in found.iter_mut().zip(&base.items).filter(|(slot, _)| slot.is_none()) {
            if let Some(at) = places.get_mut(&step(item)).and_then(std::collections::VecDeque::pop_front) {
                *slot = Some(at);
                if let Some(free) = free.get_mut(at) {
                    *free = false;
                }
            }
        }
    }
    // One that is left on each side is the same one, changed beyond recognition.
    let mut lost = found.iter_mut().filter(|slot| slot.is_none());
    let mut new = free.iter().enumerate().filter(|(_, free)| **free).map(|(at, _)| at);
    if kind != Kind::Plain
        && let (Some(slot), None, Some(at), None) = (lost.next(), lost.next(), new.next(), new.next())
    {
        *slot = Some(at);
    }
    found
}

/// What makes two elements that both sides added the same one.
fn identity(item: &Item<'_>, kind: Kind) -> String {
    if kind == Kind::Limits { counter_and_window(item) } else { says(item) }
}

fn says(item: &Item<'_>) -> String {
    canonical(&item.value)
}

fn member(item: &Item<'_>, key: &str) -> String {
    let value = item.value.object().and_then(|object| object.get(key));
    value.map_or_else(String::new, canonical)
}

fn conditions(item: &Item<'_>) -> String {
    member(item, "conditions")
}

fn paths(item: &Item<'_>) -> String {
    let conditions = item.value.object().and_then(|rule| rule.get("conditions")?.array());
    let path = |item: &Item<'_>| member(item, "path");
    conditions.map(|list| list.items.iter().map(path).collect::<Vec<_>>().join(",")).unwrap_or_default()
}

fn counter(item: &Item<'_>) -> String {
    member(item, "counter")
}

fn counter_and_window(item: &Item<'_>) -> String {
    format!("{} {}", counter(item), member(item, "window"))
}

fn canonical(tree: &Tree<'_>) -> String {
    let mut text = String::new();
    tree.print(&mut text);
    match crate::json::parse(&text) {
        Ok(parsed) => crate::json::canonical::canonical(&parsed.root),
        Err(_) => text,
    }
}
