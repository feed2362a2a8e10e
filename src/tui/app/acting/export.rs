//! Writing what is filtered to a file: from the journals of this machine, so that what left the
//! screen long ago is in it, too.

use std::path::PathBuf;

use super::Then;
use crate::time::Timestamp;
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::tui::app::policy::form::{Form, FormField, Id, Makes};
use crate::tui::app::{App, Kind};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The records as they are.
    Jsonl,
    /// A table.
    Csv,
    /// The report of an incident, as Markdown.
    Report,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub what: What,
    /// The filter; empty for everything.
    pub filter: String,
    /// From when on; `None`: everything that the journals have.
    pub since: Option<Timestamp>,
    /// When it was asked for: the filter's `since:` counts from here.
    pub now: Timestamp,
    /// By whom.
    pub by: String,
    /// Whether a file that is there is replaced.
    pub replace: bool,
    /// The gateway runs that are attached, to tell which of them have no journal here.
    pub attached: Vec<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The file is there, with so many records.
    Done {
        /// How many records are in it.
        records: u64,
        /// Attached gateway runs whose journal is not on this machine.
        elsewhere: Vec<String>,
    },
    /// There is such a file already; nothing was written.
    Exists,
    /// It could not be written, and why.
    Failed(String),
}

const KINDS: [(What, &str, &str); 3] =
    [(What::Report, "report", "md"), (What::Jsonl, "records", "jsonl"), (What::Csv, "CSV", "csv")];
/// Back from now, in minutes.
const SPANS: [(&str, Option<i64>); 4] =
    [("last 15 minutes", Some(15)), ("last hour", Some(60)), ("last day", Some(1_440)), ("all", None)];
const MINUTE: i64 = 60_000_000;

/// Opens the form; with what was chosen before where a name was taken.
pub(super) fn open(app: &mut App, again: Option<&Export>) {
    let kind =
        again.map_or(0, |export| KINDS.iter().position(|(what, ..)| *what == export.what).unwrap_or(0));
    let span = again.map_or(1, |export| {
        let back = export.since.map(|since| (export.now.0 - since.0) / MINUTE);
        SPANS.iter().position(|(_, minutes)| *minutes == back).unwrap_or(1)
    });
    let path = again
        .map_or_else(|| suggested(app.now.ts, kind), |export| export.path.to_string_lossy().into_owned());
    let filter = app.live.live.filter_text.trim().to_owned();
    let title = if filter.is_empty() {
        "Export every record".to_owned()
    } else {
        format!("Export what matches {}", crate::visible::visible(&filter))
    };
    let mut form = Form {
        makes: Makes::Export { filter, suggested: kind },
        title,
        fields: vec![
            FormField::choice(Id::Kind, "what", KINDS.map(|(_, word, _)| word.to_owned()).to_vec(), kind),
            FormField::choice(Id::Since, "from", SPANS.map(|(word, _)| word.to_owned()).to_vec(), span),
            FormField::text(Id::File, "file", &path),
        ],
        focus: 2,
        insisted: false,
        problem: None,
    };
    check(&mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

/// A name with the time in it.
fn suggested(now: Timestamp, kind: usize) -> String {
    let text = now.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or("").replace(':', "");
    let ending = KINDS.get(kind).map_or("md", |(_, _, ending)| ending);
    let name = if ending == "md" { "incident" } else { "callgate" };
    format!("{name}-{}T{}Z.{ending}", part(0..10), part(11..16))
}

/// Finds out what is wrong and what it means.
pub(crate) fn check(form: &mut Form) {
    let kind = form.field(Id::Kind).map_or(0, FormField::chosen);
    let Makes::Export { suggested, .. } = &mut form.makes else { return };
    let before = std::mem::replace(suggested, kind);
    let ending = |kind: usize| KINDS.get(kind).map_or("", |(_, _, ending)| *ending);
    for field in &mut form.fields {
        match field.id {
            Id::Kind => {
                match KINDS.get(kind).map(|(what, ..)| *what) {
                    Some(What::Jsonl) => "one record a line, as the journal has it",
                    Some(What::Csv) => "one record a row, for a spreadsheet",
                    _ => "Markdown: timeline, denials, counts, policies, what is lost",
                }
                .clone_into(&mut field.note);
            }
            Id::Since => "read from the journals of this machine".clone_into(&mut field.note),
            Id::File => {
                // The ending follows what is chosen, as long as it is the one that belongs to it.
                let text = field.value().to_owned();
                if kind != before
                    && let Some(stem) = text.strip_suffix(&format!(".{}", ending(before)))
                {
                    *field = FormField::text(Id::File, "file", &format!("{stem}.{}", ending(kind)));
                }
                let missing = field.value().trim().is_empty();
                field.error = missing.then(|| "a file needs a name".to_owned());
                "a file that is there is not replaced without asking".clone_into(&mut field.note);
            }
            _ => {}
        }
    }
}

/// What the form describes.
pub(crate) fn made(app: &App, form: &Form) -> Option<LayerThen> {
    let Makes::Export { filter, .. } = &form.makes else { return None };
    let chosen = |id| form.field(id).map_or(0, FormField::chosen);
    let now = app.now.ts;
    let export = Export {
        path: PathBuf::from(form.value(Id::File).trim()),
        what: KINDS.get(chosen(Id::Kind))?.0,
        filter: filter.clone(),
        since: SPANS
            .get(chosen(Id::Since))?
            .1
            .map(|minutes| now.plus_micros(-minutes.saturating_mul(MINUTE))),
        now,
        by: app.user.clone(),
        replace: false,
        attached: app.feeds.gateways().map(|(_, gateway)| gateway.hello.gateway.clone()).collect(),
    };
    Some(LayerThen::Acting(Box::new(Then::Export(Box::new(export)))))
}

/// An export ended.
pub(super) fn ended(app: &mut App, export: Export, outcome: Outcome) {
    let file = crate::visible::visible(&export.path.to_string_lossy()).into_owned();
    let wrote = |records: u64| {
        format!("wrote {records} {} to {file}", if records == 1 { "record" } else { "records" })
    };
    match outcome {
        Outcome::Done { records, elsewhere } if elsewhere.is_empty() => {
            app.toast(Kind::Good, wrote(records));
        }
        Outcome::Done { records, elsewhere } => {
            let names: Vec<String> =
                elsewhere.iter().map(|run| crate::visible::visible(run).into_owned()).collect();
            app.toast(
                Kind::Warn,
                format!(
                    "{}; not those of {}, whose journal is not on this machine",
                    wrote(records),
                    names.join(", ")
                ),
            );
        }
        Outcome::Failed(why) => app.toast(Kind::Bad, format!("{file} was not written: {why}")),
        Outcome::Exists => {
            let replace = Export { replace: true, ..export.clone() };
            let answers = vec![
                ('n', "choose another name", LayerThen::Acting(Box::new(Then::Rename(Box::new(export))))),
                ('r', "replace it", LayerThen::Acting(Box::new(Then::Export(Box::new(replace))))),
                ('c', "write nothing", LayerThen::Nothing),
            ];
            let mut ask =
                Ask::new("There is such a file", vec![format!("{file} is there already.")], answers);
            ask.danger = true;
            app.layers.push(Layer::Ask(ask));
        }
    }
}
