//! What differs between the definitions that a person accepted and those of now, line by line.

use std::fmt::Write as _;
use std::sync::Arc;

use super::inspect::wrap;
use super::review::Review;
use super::{App, Effect};
use crate::json;
use crate::policy::pins::{Definition, FIELDS, Fields, Kept};
use crate::tui::action::{Action, When};
use crate::tui::app::layer::{Layer, Step};
use crate::visible::visible;

/// How wide texts are broken, so that a changed sentence is a changed line.
const WIDE: usize = 100;

impl App {
    pub(crate) fn can_accept_shown(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        let shown = matches!(self.layers.last(), Some(Layer::Review(review)) if review.accepts.is_some());
        When::if_so(shown, "no definition is shown")
    }
}

/// Shows what differs; Enter accepts it.
pub(super) fn see(app: &mut App, definitions: Arc<[Definition]>) {
    let pins = app.policy.pins.pins();
    let (mut old, mut new) = (String::new(), String::new());
    for definition in definitions.iter() {
        let pin = pins.and_then(|pins| pins.get(&definition.name));
        if pin.is_some_and(|pin| pin.sha256 == definition.sha256) {
            continue;
        }
        let name = visible(&definition.name);
        if let Some(pin) = pin {
            let _ = writeln!(old, "{name}");
            write(&pin.fields, &mut old);
        }
        let _ = writeln!(new, "{name}");
        write(&definition.fields, &mut new);
    }
    let title = match definitions.as_ref() {
        [one] => format!("{}: as accepted (-), as it is now (+)", visible(&one.name)),
        many => format!("{} tools: as accepted (-), as they are now (+)", many.len()),
    };
    let mut review = Review::new(title, Vec::new(), &old, &new);
    review.writes = false;
    review.accepts = Some(definitions);
    app.layers.push(Layer::Review(Box::new(review)));
}

/// The members of a definition, each under its name.
fn write(fields: &Fields, out: &mut String) {
    for name in FIELDS {
        let Some(kept) = fields.get(name).filter(|_| name != "name") else { continue };
        let _ = writeln!(out, "  {name}");
        let lines = match kept {
            Kept::Digest(digest) => vec![format!("too large to be kept: SHA-256 {digest}")],
            Kept::Whole(text) => match json::parse(text) {
                Ok(parsed) => match parsed.root.as_str() {
                    Some(text) => text.lines().flat_map(|line| wrap(&visible(line), WIDE)).collect(),
                    None => json::pretty::pretty(&parsed.root),
                },
                Err(_) => vec![text.clone()],
            },
        };
        for line in lines {
            let _ = writeln!(out, "    {line}");
        }
    }
}

/// Does an action of the difference; `false` when it is none of these.
pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let Some(Layer::Review(review)) = app.layers.last() else { return false };
    if review.accepts.is_none() || Step::of(action, 1).is_some() || action != Action::AcceptShown {
        return false;
    }
    if let Some(Layer::Review(review)) = app.layers.pop()
        && let Some(definitions) = review.accepts
    {
        super::pins::accept(app, &definitions, effects);
    }
    super::save::layer_closed(app);
    true
}
