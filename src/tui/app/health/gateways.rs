//! A gateway in words: how it stands, what is wrong with it, and everything that is known of it.

use super::policies::InForce;
use crate::feed::message::Role;
use crate::time::Timestamp;
use crate::tui::app::App;
use crate::tui::app::feeds::Gateway;
use crate::tui::app::live::detail::{Line, Tone, line, seconds};
use crate::visible::visible;

/// A lag beyond this is worth a look, in milliseconds.
const LATE: u64 = 2_000;

/// How it stands, in a word.
pub fn word(gateway: &Gateway) -> (Tone, &'static str) {
    let ended = gateway.seen.lost.as_ref().is_some_and(|loss| loss.ended);
    match gateway.alive {
        false if ended => (Tone::Plain, "ended"),
        false => (Tone::Bad, "lost"),
        true if gateway.seen.behind() > 0 => (Tone::Warn, "catching up"),
        true => (Tone::Good, "up"),
    }
}

/// How long it has been up, as short as possible: `3 h`.
pub fn uptime(gateway: &Gateway, now: Timestamp) -> String {
    if !gateway.alive {
        return String::new();
    }
    gateway.seen.since().map_or_else(String::new, |since| span(since.millis_until(now)))
}

/// A span of time in its largest unit: `12 s`, `5 m`, `3 h`, `2 d`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How late a record came: `4 ms`, `3 s`.
pub fn lag(millis: u64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { span(millis) }
}

/// The revision in force, or how many there are.
pub fn revision(gateway: &Gateway) -> String {
    let mut revisions: Vec<&str> = gateway
        .hello
        .servers
        .iter()
        .flat_map(|server| &server.grants)
        .map(|grant| grant.revision.as_deref().unwrap_or("none"))
        .collect();
    revisions.sort_unstable();
    revisions.dedup();
    match revisions.as_slice() {
        [] => "none".to_owned(),
        [one] => visible(one).into_owned(),
        many => format!("{} policies", many.len()),
    }
}

/// Something that is wrong with a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How bad it is.
    pub tone: Tone,
    /// In two words, for where there is little room.
    pub word: &'static str,
    /// In a sentence.
    pub text: String,
}

/// What is wrong with it, the worst first; empty when all is well.
pub fn troubles(app: &App, gateway: &Gateway, in_force: &InForce) -> Vec<Trouble> {
    let seen = &gateway.seen;
    let mut found = Vec::new();
    let mut say = |tone: Tone, word: &'static str, text: String| found.push(Trouble { tone, word, text });
    if !gateway.alive {
        if let Some(loss) = seen.lost.as_ref().filter(|loss| !loss.ended) {
            say(Tone::Bad, "unreachable", format!("cannot be reached, tried again: {}", visible(&loss.why)));
        }
        return found;
    }
    if let Some(health) = &seen.health {
        if !health.journal.writable {
            say(Tone::Bad, "journal fails", "the journal cannot be written: calls are denied".to_owned());
        } else if health.journal.waiting > 0 {
            let text = format!("{} records wait for the journal", health.journal.waiting);
            say(Tone::Bad, "journal waits", text);
        }
        if !health.store.usable {
            say(Tone::Bad, "store silent", "the store does not answer: calls are denied".to_owned());
        }
    }
    let trouble = seen.health.as_ref().and_then(|health| health.store.trouble.as_ref());
    if let Some(why) = trouble.or(seen.store.as_ref()) {
        say(Tone::Bad, "store fails", format!("store: {}", visible(why)));
    }
    for server in &gateway.hello.servers {
        for grant in &server.grants {
            for text in in_force.differs(app, gateway, &server.name, grant) {
                say(Tone::Warn, "policy differs", format!("policy differs: {text}"));
            }
        }
    }
    if gateway.lost > 0 {
        say(Tone::Bad, "records lost", format!("{} records were lost on the way here", gateway.lost));
    }
    if seen.unreadable > 0 {
        say(Tone::Bad, "unreadable", format!("{} records could not be read", seen.unreadable));
    }
    if let Some(trouble) = &seen.trouble {
        say(Tone::Warn, "feed is wrong", format!("its feed is not in order: {}", visible(trouble)));
    }
    if let Some(ahead) = seen.offset.ahead() {
        say(Tone::Warn, "clock differs", clock(ahead));
    }
    if let Some(late) = seen.lag_ms.filter(|late| seen.behind() == 0 && *late > LATE) {
        say(Tone::Warn, "late", format!("its last record came {} late", lag(late)));
    }
    if let Some(missed) = seen.health.as_ref().map(|health| health.feed.missed).filter(|missed| *missed > 0) {
        say(Tone::Warn, "monitor slow", format!("{missed} records were gone before some monitor took them"));
    }
    found
}

fn clock(ahead: i64) -> String {
    let by = seconds(ahead.unsigned_abs() / 1_000);
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    format!("its clock is {by} {side} this one: its rows are ordered by this one")
}

/// Everything that is known of it.
pub fn lines(app: &App, gateway: &Gateway) -> Vec<Line> {
    let (now, seen, hello) = (app.now.ts, &gateway.seen, &gateway.hello);
    let in_force = InForce::of(app);
    let (tone, word) = word(gateway);
    let mut out = Vec::new();
    let state = match (word, &seen.lost) {
        ("catching up", _) => format!("catching up: {} older records to come", seen.behind()),
        ("lost" | "ended", Some(loss)) => {
            format!("{word} {} ago: {}", span(loss.at.millis_until(now)), loss.why)
        }
        _ => word.to_owned(),
    };
    out.push(line("state", state, tone));
    // What differs of a policy stands below, with its grant.
    let others = troubles(app, gateway, &in_force).into_iter().filter(|one| one.word != "policy differs");
    for (at, trouble) in others.enumerate() {
        out.push(line(if at == 0 { "trouble" } else { "" }, trouble.text, trouble.tone));
    }
    if let Some(since) = seen.since() {
        let up =
            if gateway.alive { format!(", {} ago", span(since.millis_until(now))) } else { String::new() };
        out.push(line("since", format!("{since}{up}"), Tone::Plain));
    }
    let process = format!("{} on {}, callgate {}", hello.pid, hello.host, hello.version);
    out.push(line("process", process, Tone::Plain));
    let role = match hello.role {
        Role::Operator => "operator: it takes approvals, freezes and overrides from here",
        Role::Viewer => "viewer: it takes nothing from here",
    };
    out.push(line("role", role, Tone::Plain));
    for server in &hello.servers {
        out.push(line("server", format!("{}: {}", server.name, server.upstream), Tone::Heading));
        for grant in &server.grants {
            let path = grant.policy.as_deref().unwrap_or("no policy");
            let revision = grant.revision.as_deref().unwrap_or("not in force");
            out.push(line("grant", format!("{}: {path} at {revision}", grant.label), Tone::Plain));
            for text in in_force.differs(app, gateway, &server.name, grant) {
                out.push(line("differs", text, Tone::Warn));
            }
            if let Some(shadow) = &grant.shadow {
                out.push(line("shadow", format!("{} at {}", shadow.path, shadow.revision), Tone::Plain));
            }
        }
    }
    records(gateway, now, &mut out);
    if let Some(health) = &seen.health {
        let journal = &health.journal;
        let (tone, word) =
            if journal.writable { (Tone::Good, "written") } else { (Tone::Bad, "cannot be written") };
        let text = format!(
            "{word}, {} KiB, {} waiting, {} failures",
            journal.bytes >> 10,
            journal.waiting,
            journal.errors
        );
        out.push(line("journal", text, tone));
        let store = &health.store;
        let (tone, word) =
            if store.usable { (Tone::Good, "answers") } else { (Tone::Bad, "does not answer") };
        out.push(line("store", format!("{word}: {}", store.place), tone));
        let feed = &health.feed;
        let text = format!("{}; the slowest is {} records behind", feed.clients, feed.lag);
        out.push(line("monitors", text, Tone::Plain));
    }
    if !seen.clients.is_empty() {
        let names: Vec<&str> = seen.clients.iter().map(String::as_str).collect();
        let more = if seen.others { " and others" } else { "" };
        out.push(line("clients", format!("{}{more}", names.join(", ")), Tone::Plain));
    }
    out.push(line("run", hello.gateway.clone(), Tone::Plain));
    out
}

fn records(gateway: &Gateway, now: Timestamp, out: &mut Vec<Line>) {
    let seen = &gateway.seen;
    let last = seen.last_at.map_or_else(String::new, |at| {
        let ago = span(seen.offset.here(at).millis_until(now));
        let here = seen.lag_ms.map(|late| format!(", here after {}", lag(late))).unwrap_or_default();
        format!("; the last {ago} ago{here}")
    });
    out.push(line(
        "records",
        format!("{} came, up to number {}{last}", seen.records, seen.last),
        Tone::Plain,
    ));
    if gateway.lost > 0 {
        let named: Vec<String> = seen
            .gaps
            .iter()
            .rev()
            .take(4)
            .map(|(from, to)| if from == to { from.to_string() } else { format!("{from} to {to}") })
            .collect();
        out.push(line("lost", format!("{}: numbers {}", gateway.lost, named.join(", ")), Tone::Bad));
    }
    if seen.connects > 1 {
        let why = seen.lost.as_ref().map_or("", |loss| loss.why.as_str());
        let times = seen.connects - 1;
        out.push(line("reconnects", format!("{times}, the last after: {why}"), Tone::Plain));
    }
    if seen.troubles > 1 {
        out.push(line("nonsense", format!("{} times", seen.troubles), Tone::Warn));
    }
}
