//! `tail --stats`: what the records come to, for people.

use std::fmt::Write as _;

use crate::cli::output::Tint;
use crate::cli::{CliError, Output};
use crate::export::stats::{Latency, Named, Summary};
use crate::time::{Timestamp, show_duration};
use crate::visible::visible;

/// How many names of a kind are shown.
const NAMES: usize = 10;

/// Prints the counts.
pub(super) fn print(summary: &Summary, out: &Output) -> Result<(), CliError> {
    if out.format == crate::cli::output::Format::Json {
        return out.json(summary);
    }
    let mut text = String::new();
    let strong = |word: &str| out.tint(Tint::Strong, word);
    match (summary.first, summary.last) {
        (Some(first), Some(last)) => {
            let seconds = u64::try_from(last.secs().saturating_sub(first.secs())).unwrap_or(0);
            let _ = writeln!(
                text,
                "{} from {} to {}: {}",
                strong(&format!("{} records", summary.records)),
                short(first),
                short(last),
                show_duration(seconds)
            );
        }
        _ => {
            text.push_str("no records\n");
        }
    }
    let words = |all: &std::collections::BTreeMap<&'static str, u64>| {
        all.iter().map(|(word, count)| format!("{count} {}", word.replace('_', " "))).collect::<Vec<_>>()
    };
    for (what, counts) in
        [("decisions", &summary.decisions), ("outcomes", &summary.outcomes), ("events", &summary.events)]
    {
        if !counts.is_empty() {
            let _ = writeln!(text, "{what:<10} {}", words(counts).join(", "));
        }
    }
    if summary.total.calls > 0 {
        let rate = summary.calls_per_minute_thousandths;
        let mut line = format!("{}.{} calls a minute", rate / 1000, rate % 1000 / 100);
        if let Some((at, count)) = summary.busiest_minute {
            let _ = write!(line, ", the busiest {} at {}", count, short(at));
        }
        let _ = writeln!(text, "{:<10} {line}", "rate");
    }
    for (what, latency) in [("upstream", summary.upstream), ("deciding", summary.decide)] {
        if let Some(latency) = latency {
            let _ = writeln!(text, "{what:<10} {}", quantiles(&latency));
        }
    }
    for (what, names) in [
        ("tool", &summary.tools),
        ("rule", &summary.rules),
        ("grant", &summary.grants),
        ("server", &summary.servers),
    ] {
        table(&mut text, &strong(&format!("{what:<WIDE$}")), names);
    }
    if !summary.gateways.is_empty() {
        let _ = writeln!(
            text,
            "\n{} {:>10} {:>6} {:>5}  last record",
            strong(&format!("{:<WIDE$}", "gateway run")),
            "records",
            "lost",
            "torn"
        );
    }
    // The newest are what people look for.
    let older = summary.gateways.len().saturating_sub(NAMES);
    for (name, run) in summary.gateways.iter().skip(older) {
        let line = format!(
            "{} {:>10} {:>6} {:>5}  {}{}",
            fit(name),
            run.records,
            run.lost,
            run.torn,
            if run.records == 0 { "none".to_owned() } else { short(run.last) },
            if run.stopped { ", stopped" } else { "" }
        );
        let lost = run.lost + run.torn > 0;
        let _ = writeln!(text, "{}", if lost { out.tint(Tint::Warn, &line) } else { line });
    }
    if older > 0 {
        let _ = writeln!(text, "and {older} earlier runs");
    }
    if summary.lost + summary.torn > 0 {
        let line = format!("lost records: {}, torn lines: {}", summary.lost, summary.torn);
        let _ = writeln!(text, "{}", out.tint(Tint::Warn, &line));
    }
    out.print(&text)
}

/// The width of the names' column.
const WIDE: usize = 44;

fn table(text: &mut String, head: &str, names: &[Named]) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{head} {:>10} {:>8} {:>6}", "calls", "denied", "held");
    for row in names.iter().take(NAMES) {
        let name = match row.server.as_deref() {
            Some(server) if !server.is_empty() => format!("{} of {server}", row.name),
            _ => row.name.clone(),
        };
        let count = row.count;
        let _ = writeln!(text, "{} {:>10} {:>8} {:>6}", fit(&name), count.calls, count.denied, count.held);
    }
    if names.len() > NAMES {
        let _ = writeln!(text, "and {} more", names.len() - NAMES);
    }
}

fn fit(name: &str) -> String {
    let mut out = String::new();
    super::show::column(&mut out, &visible(name), WIDE);
    out
}

fn quantiles(latency: &Latency) -> String {
    let one = |micros: f64| match micros {
        ..100.0 => format!("{micros:.1} µs"),
        ..1_000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{:.1} ms", micros / 1_000.0),
        _ => format!("{:.1} s", micros / 1_000_000.0),
    };
    format!(
        "p50 {}, p90 {}, p99 {}, longest {}",
        one(latency.p50_us),
        one(latency.p90_us),
        one(latency.p99_us),
        one(latency.max_us)
    )
}

/// An instant to the second.
fn short(ts: Timestamp) -> String {
    let text = ts.to_string();
    format!("{}Z", text.get(..19).unwrap_or(""))
}
