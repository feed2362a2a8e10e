//! Following a path into a call's arguments.

use std::ops::ControlFlow;

use crate::json::fold::same_ignoring_case;
use crate::json::{Node, Value};
use crate::policy::path::Step;
use crate::policy::veil::{Veil, Veiled};

/// What stands at the end of a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'n, 't> {
    /// A value that is not null.
    Value(&'n Node<'t>),
    /// Nothing, or null.
    Missing,
    /// What stands on the way cannot be told for sure.
    Obstacle(Obstacle),
    /// Something that was not kept stands there, or on the way.
    NotKept,
}

/// Why a path cannot be followed with certainty. Servers may read such arguments in another way
/// than this program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Another type where an object is needed.
    NoObject(&'static str),
    /// Another type where an array or an object is needed.
    NoContainer(&'static str),
    /// Another type where an array is needed.
    NoArray(&'static str),
    /// The object holds a name that equals the step but for case.
    Twin,
    /// The object holds the step's name twice.
    Repeated,
    /// The object holds a name that cannot be read exactly.
    InexactName,
}

/// How far a path was followed: for saying where.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The steps taken.
    pub(super) steps: usize,
    /// The indices taken at each `[*]`.
    pub(super) indices: Vec<usize>,
}

/// Follows the steps from `node`, calling `visit` with what stands at the end: once, or for each
/// element that a `[*]` ranges over. Stops when `visit` breaks.
pub(super) fn walk<'n, 't, V, F>(
    steps: &[Step],
    node: &'n Node<'t>,
    veil: &V,
    trail: &mut Trail,
    visit: &mut F,
) -> ControlFlow<()>
where
    V: Veil + ?Sized,
    F: FnMut(Found<'n, 't>, &Trail) -> ControlFlow<()>,
{
    if node.is_null() {
        return visit(Found::Missing, trail);
    }
    let Some((step, rest)) = steps.split_first() else {
        return visit(Found::Value(node), trail);
    };
    if let Some(veiled) = veil.veiled(node) {
        return visit(beyond(step, veiled), trail);
    }
    let obstacle = match (step, &node.value) {
        (Step::Name(name) | Step::Number { text: name, .. }, Value::Object(_)) => match member(node, name) {
            Ok(Some(value)) => {
                trail.steps += 1;
                let flow = walk(rest, value, veil, trail, visit);
                trail.steps -= 1;
                return flow;
            }
            Ok(None) => {
                trail.steps += 1;
                let flow = visit(Found::Missing, trail);
                trail.steps -= 1;
                return flow;
            }
            Err(obstacle) => {
                trail.steps += 1;
                let flow = visit(Found::Obstacle(obstacle), trail);
                trail.steps -= 1;
                return flow;
            }
        },
        (Step::Number { index, .. }, Value::Array(items)) => {
            trail.steps += 1;
            let flow = match items.get(*index) {
                Some(item) => walk(rest, item, veil, trail, visit),
                None => visit(Found::Missing, trail),
            };
            trail.steps -= 1;
            return flow;
        }
        (Step::Each, Value::Array(items)) => {
            trail.steps += 1;
            let flow = each(rest, items, veil, trail, visit);
            trail.steps -= 1;
            return flow;
        }
        (Step::Name(_), _) => Obstacle::NoObject(node.type_name()),
        (Step::Number { .. }, _) => Obstacle::NoContainer(node.type_name()),
        (Step::Each, _) => Obstacle::NoArray(node.type_name()),
    };
    visit(Found::Obstacle(obstacle), trail)
}

/// What a step finds that leads into something that was not kept: that alone says whether it is a
/// container.
fn beyond<'n, 't>(step: &Step, veiled: Veiled<'n>) -> Found<'n, 't> {
    let Veiled::Masked { type_name, .. } = veiled else { return Found::NotKept };
    let fits = match step {
        Step::Name(_) => type_name == "object",
        Step::Number { .. } => matches!(type_name, "array" | "object"),
        Step::Each => type_name == "array",
    };
    let found =
        ["boolean", "number", "string", "array", "object"].into_iter().find(|name| *name == type_name);
    match (found, step) {
        (Some(found), Step::Name(_)) if !fits => Found::Obstacle(Obstacle::NoObject(found)),
        (Some(found), Step::Number { .. }) if !fits => Found::Obstacle(Obstacle::NoContainer(found)),
        (Some(found), Step::Each) if !fits => Found::Obstacle(Obstacle::NoArray(found)),
        _ => Found::NotKept,
    }
}

fn each<'n, 't, V, F>(
    rest: &[Step],
    items: &'n [Node<'t>],
    veil: &V,
    trail: &mut Trail,
    visit: &mut F,
) -> ControlFlow<()>
where
    V: Veil + ?Sized,
    F: FnMut(Found<'n, 't>, &Trail) -> ControlFlow<()>,
{
    if items.is_empty() {
        return visit(Found::Missing, trail);
    }
    for (index, item) in items.iter().enumerate() {
        trail.indices.push(index);
        let flow = walk(rest, item, veil, trail, visit);
        trail.indices.pop();
        flow?;
    }
    ControlFlow::Continue(())
}

/// The member of that name, once it is sure that every parser finds the same.
fn member<'n, 't>(object: &'n Node<'t>, name: &str) -> Result<Option<&'n Node<'t>>, Obstacle> {
    let mut found = None;
    for member in object.as_object().unwrap_or_default() {
        let key = member.key.as_str();
        if !member.key.exact {
            return Err(Obstacle::InexactName);
        }
        if key == name {
            if found.replace(&member.value).is_some() {
                return Err(Obstacle::Repeated);
            }
        } else if may_fold(key, name) && same_ignoring_case(key, name) {
            return Err(Obstacle::Twin);
        }
    }
    Ok(found)
}

/// Whether two different names can be equal but for case: quick to say no. Plain ASCII names of
/// different lengths cannot.
fn may_fold(key: &str, name: &str) -> bool {
    key.len() == name.len() || !key.is_ascii() || !name.is_ascii()
}
