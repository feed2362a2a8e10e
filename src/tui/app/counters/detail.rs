//! What the detail of a gauge says, as labelled lines; the view only colours them.

use super::{Outlook, Reading};
use crate::policy::compiled::allowance;
use crate::time::Timestamp;
use crate::tui::app::health::gateways::span;
use crate::tui::app::live::detail::{Line, Tone, line, seconds};

/// Users that are named.
const NAMED: usize = 12;

/// The lines of a gauge's detail; the sparkline of its past windows is the view's.
pub fn lines(reading: &Reading<'_>, now: Timestamp) -> Vec<Line> {
    let gauge = reading.gauge;
    let percent = reading.fraction * 100.0;
    let tone = match reading.outlook {
        Outlook::Full => Tone::Bad,
        Outlook::FullIn(_) => Tone::Warn,
        Outlook::Holds | Outlook::Idle => Tone::Plain,
    };
    let mut out = Vec::new();
    let used = format!("{}/{}, {percent:.0} %", reading.used, allowance(gauge.max, reading.key.window));
    out.push(line("used", used, Tone::Heading));
    let outlook = match reading.outlook {
        Outlook::Full => "full: calls are denied until it resets".to_owned(),
        Outlook::FullIn(_) => format!("{} at this rate", reading.outlook_words()),
        Outlook::Holds => "holds until it resets, at this rate".to_owned(),
        Outlook::Idle => "nothing is counted at present".to_owned(),
    };
    out.push(line("outlook", outlook, tone));
    let resets = if reading.resets_in_ms == 0 {
        "empty: its window is over".to_owned()
    } else {
        format!("in {}", seconds(reading.resets_in_ms))
    };
    out.push(line("resets", resets, Tone::Plain));
    if reading.per_minute > 0.0 {
        out.push(line("rate", format!("{:.1} a minute", reading.per_minute), Tone::Plain));
    }
    out.push(line("counts", format!("{} {}", reading.key.scope, reading.key.key), Tone::Plain));
    out.push(line("server", reading.key.server.clone(), Tone::Plain));
    if gauge.denied > 0 {
        out.push(line("denied", format!("{} calls found no room", gauge.denied), Tone::Bad));
    }
    if reading.resets_in_ms > 0 {
        users(reading, &mut out);
    }
    let full = gauge.past.iter().filter(|past| past.used >= past.max).count();
    if let Some(last) = gauge.past.back() {
        let ago = span(last.until.millis_until(now));
        let windows = if gauge.past.len() == 1 { "window" } else { "windows" };
        let text = format!(
            "{} {windows} seen, {full} full; the last ended {ago} ago at {}/{}",
            gauge.past.len(),
            last.used,
            last.max
        );
        out.push(line("before", text, Tone::Plain));
    }
    out
}

/// Who uses it up, the greediest first.
fn users(reading: &Reading<'_>, out: &mut Vec<Line>) {
    let gauge = reading.gauge;
    let part = |amount: crate::policy::counter::Amount| {
        let whole = reading.used.as_f64();
        if whole > 0.0 { amount.as_f64() / whole * 100.0 } else { 0.0 }
    };
    let mut users: Vec<_> = gauge.shares.iter().collect();
    users.sort_by(|a, b| {
        b.1.used.cmp(&a.1.used).then_with(|| b.1.denied.cmp(&a.1.denied)).then_with(|| a.0.cmp(b.0))
    });
    let mut label = "used by";
    for ((grant, tool), share) in users.iter().take(NAMED) {
        let denied = if share.denied > 0 { format!(", {} denied", share.denied) } else { String::new() };
        let text = format!(
            "{:.0} %  {tool} of grant {grant}: {} in {} calls{denied}",
            part(share.used),
            share.used,
            share.calls
        );
        out.push(line(std::mem::take(&mut label), text, Tone::Plain));
    }
    if users.len() > NAMED {
        out.push(line("", format!("and {} more", users.len() - NAMED), Tone::Plain));
    }
    let unseen = gauge.unseen();
    if unseen > crate::policy::counter::Amount::ZERO {
        let text = format!("{:.0} %  {unseen} that this program did not see counted", part(unseen));
        out.push(line(label, text, Tone::Plain));
    }
}
