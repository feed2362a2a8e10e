//! The store that a fleet's gateways share: Redis 6 or newer, or Valkey.
//!
//! Every reservation is one script, which Redis runs as a whole and on its own clock, so that ten
//! gateways on ten machines count one after the other and agree on when a window ends. Amounts are
//! exact whatever their size; the scripts reckon in limbs, because their numbers are doubles.
//!
//! **When it does not answer** within [`TIMEOUT`], the call is refused. The reservation may have
//! been counted all the same: a counter then holds more than ran, never less. While the server is
//! down nobody waits for it: one thread tries again, after a pause that grows to half a second, and
//! all others are refused at once.
//!
//! **What it has forgotten.** Redis keeps its data in memory. Started again without persistence
//! (`appendonly yes`; with `appendfsync always` not even its death costs a reservation) it is empty:
//! every counter refilled, every freeze lifted. So the store has a *life*, a random name that is
//! given once, and each change has a number. Each script checks both against what its gateway has
//! seen, before it does anything. Where the life is gone or another one, or the numbers went back (a
//! snapshot of yesterday, a replica that lagged), every request of that gateway fails from then on,
//! also those for freezes, so that after two seconds no call passes: what stood before is not
//! known, and only people know which freezes to set again. A gateway that is restarted begins with
//! what is there. A restart that kept everything is only told of ([`Store::news`]).
//!
//! Nothing grows for ever: a counter goes a day after its window, questions and rounds a day after
//! their end.
//!
//! A gateway asks twenty-five times a second whether freezes changed; that is one small command.

mod keys;
mod pool;
mod questions;
pub mod wire;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Cmd, Connection, RedisResult, Script};

use self::keys::{Keys, digits, optional, read_digits};
use self::pool::Pool;
use super::place::RedisUrl;
use super::{
    Approval, ApprovalVerdict, Asked, Freeze, Lift, Override, Round, SeenTool, Standing, Store, StoreError,
};
use crate::policy::counter::{Amount, CounterKey, Reserved, Taken, Usage, Want};
use crate::time::Timestamp;

/// How long connecting, and any answer, may take.
pub const TIMEOUT: Duration = pool::ANSWER;

/// Before every script.
const PRELUDE: &str = include_str!("prelude.lua");
/// Counters that are read at once for screens.
const AT_ONCE: usize = 512;
/// A window in microseconds is a number that a script holds exactly; one that is longer (285
/// years) began in 1970 all the same.
const LONGEST: u64 = 1 << 52;

type Result<T> = std::result::Result<T, StoreError>;

/// A fleet's store.
#[derive(Debug)]
pub struct RedisStore {
    place: String,
    keys: Keys,
    pool: Pool,
    scripts: Scripts,
    /// The life of the store that this process knows.
    life: String,
    /// The highest number of a change that was seen.
    seen: AtomicU64,
    /// Why nothing it says is believed any more.
    lost: Mutex<Option<String>>,
    /// Whether the callers' clock decides, instead of the server's.
    by_callers_clock: bool,
}

#[derive(Debug)]
struct Scripts {
    reserve: Script,
    release: Script,
    standing: Script,
    seen: Script,
    questions: Script,
}

/// What a script answered: its verdict, then texts.
type Answer = Vec<String>;

impl RedisStore {
    /// Opens the store, and begins its life where it has none.
    ///
    /// # Errors
    /// When it cannot be reached, or does not let us in.
    pub fn open(url: &RedisUrl) -> Result<Self> {
        Self::start(url, false)
    }

    /// As [`RedisStore::open`], but the time that callers give decides about windows: for tests
    /// whose clock leaps. Gateways of one fleet must never differ in this.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub fn open_by_callers_clock(url: &RedisUrl) -> Result<Self> {
        Self::start(url, true)
    }

    fn start(url: &RedisUrl, by_callers_clock: bool) -> Result<Self> {
        let place = url.to_string();
        let fail = |why: String| StoreError { place: place.clone(), why };
        let pool = Pool::new(url).map_err(fail)?;
        let keys = Keys::new(&url.fleet);
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|error| fail(error.to_string()))?;
        let name = format!("{:032x}", u128::from_be_bytes(random));
        let about = keys.one("store");
        let (life, seen) = pool
            .with(&mut |connection| {
                redis::pipe()
                    .atomic()
                    .hset_nx(&about, "life", &name)
                    .ignore()
                    .hget(&about, "life")
                    .hget(&about, "seq")
                    .query::<(String, Option<u64>)>(connection)
            })
            .map_err(fail)?;
        let script = |body: &str| Script::new(&format!("{PRELUDE}\n{body}"));
        Ok(Self {
            keys,
            pool,
            scripts: Scripts {
                reserve: script(include_str!("reserve.lua")),
                release: script(include_str!("release.lua")),
                standing: script(include_str!("standing.lua")),
                seen: script(include_str!("seen.lua")),
                questions: script(include_str!("questions.lua")),
            },
            life,
            seen: AtomicU64::new(seen.unwrap_or(0)),
            lost: Mutex::default(),
            by_callers_clock,
            place,
        })
    }

    fn fail(&self, why: impl Into<String>) -> StoreError {
        StoreError { place: self.place.clone(), why: why.into() }
    }

    fn check_lost(&self) -> Result<()> {
        match &*self.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(self.fail(why.clone())),
            None => Ok(()),
        }
    }

    /// It forgot something that it had confirmed.
    fn forgot(&self, what: &str) -> StoreError {
        let why = format!(
            "{what}; what counters hold and which freezes stood is not known any more: set the freezes \
             again and restart the gateways that use it, and run it with `appendonly yes`"
        );
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why.clone());
        self.fail(why)
    }

    fn ask<T>(&self, mut ask: impl FnMut(&mut Connection) -> RedisResult<T>) -> Result<T> {
        self.check_lost()?;
        self.pool.with(&mut ask).map_err(|why| self.fail(why))
    }

    /// Runs a script: once more with its text where the server does not have it.
    fn run(&self, script: &Script, now: Timestamp, keys: &[String], arguments: &[String]) -> Result<Answer> {
        let mut call = script.prepare_invoke();
        call.key(self.keys.one("store"));
        for key in keys {
            call.key(key);
        }
        let clock = if self.by_callers_clock { now.0.to_string() } else { String::new() };
        // Asked for before the question is sent: the server's number can only be higher.
        call.arg(&self.life).arg(self.seen.load(Ordering::SeqCst)).arg(clock);
        for argument in arguments {
            call.arg(argument);
        }
        let answer: Answer = self.ask(|connection| call.invoke(connection))?;
        match answer.first().map(String::as_str) {
            Some("other life") => {
                return Err(self.forgot("it came back without what it held, or another one answers"));
            }
            Some("went back") => {
                return Err(self.forgot("it came back without its last changes"));
            }
            Some("done" | "full") => self.saw(self.number(&answer, 1)?),
            Some(_) => {}
            None => return Err(self.fail("it gave an empty answer")),
        }
        Ok(answer)
    }

    fn saw(&self, seq: u64) {
        self.seen.fetch_max(seq, Ordering::SeqCst);
    }

    fn number<T: std::str::FromStr>(&self, answer: &[String], at: usize) -> Result<T> {
        answer
            .get(at)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.fail("it gave an answer that is not understood"))
    }

    /// Asks about every want of a call; `None` when what it would spend is not there.
    fn count(&self, now: Timestamp, wants: &[Want], how: &str, spend: Spend<'_>) -> Result<Option<Reserved>> {
        let mut keys = vec![self.keys.one("counters"), self.keys.one(spend.key())];
        let mut arguments = vec![how.to_owned(), spend.kind().to_owned(), spend.id().to_owned()];
        for want in wants {
            keys.push(self.keys.counter(&want.key));
            let window = want.key.window.clamp(1, LONGEST / 1_000_000).saturating_mul(1_000_000);
            arguments.extend([
                window.to_string(),
                digits(want.increment),
                digits(want.max),
                u8::from(want.past_max).to_string(),
            ]);
        }
        let answer = self.run(&self.scripts.reserve, now, &keys, &arguments)?;
        if answer.first().is_some_and(|verdict| verdict == "none") {
            return Ok(None);
        }
        let mut usages = Vec::with_capacity(wants.len());
        let mut taken = Vec::with_capacity(wants.len());
        let rest = answer.get(2..).unwrap_or_default();
        if rest.len() != wants.len().saturating_mul(3) {
            return Err(self.fail("it gave an answer that is not understood"));
        }
        for (want, one) in wants.iter().zip(rest.chunks(3)) {
            let start = Timestamp(self.number(one, 0)?);
            let used = one.get(1).and_then(|text| read_digits(text));
            let used = used.ok_or_else(|| self.fail("it gave an amount that is none"))?;
            let usage = Usage {
                key: want.key.clone(),
                used,
                max: want.max,
                window_start: start,
                resets_at: ends(&want.key, start),
                room: one.get(2).is_some_and(|room| room == "1"),
            };
            taken.push(Taken { key: want.key.clone(), window_start: start, amount: want.increment });
            usages.push(usage);
        }
        Ok(Some(match answer.first().map(String::as_str) {
            Some("done") => Reserved::Done { usages, taken },
            _ => Reserved::Full { usages },
        }))
    }

    /// One question about freezes and overrides.
    fn stand(&self, now: Timestamp, arguments: &[&str]) -> Result<Answer> {
        let keys = ["freezes", "overrides", "lifted", "approvals"].map(|name| self.keys.one(name));
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        self.run(&self.scripts.standing, now, &keys, &arguments)
    }

    fn added(&self, answer: &Answer, what: &str, id: &str) -> Result<()> {
        match answer.first().map(String::as_str) {
            Some("done") => Ok(()),
            _ => Err(self.fail(format!("{what} `{id}` is there already"))),
        }
    }

    fn text(&self, value: &impl serde::Serialize) -> Result<String> {
        serde_json::to_string(value).map_err(|error| self.fail(error.to_string()))
    }

    /// What was kept as text after two marks.
    fn read<T: serde::de::DeserializeOwned>(&self, kept: &str) -> Result<T> {
        let text = kept.splitn(3, '|').nth(2).unwrap_or("");
        serde_json::from_str(text)
            .map_err(|error| self.fail(format!("it holds something that cannot be read ({error})")))
    }

    fn read_override(&self, kept: &str) -> Result<Override> {
        let mut entry: Override = self.read(kept)?;
        let uses = kept.split('|').nth(1).unwrap_or("");
        if !uses.is_empty() {
            entry.uses = Some(uses.parse().map_err(|_| self.fail("it holds an override without a count"))?);
        }
        Ok(entry)
    }
}

/// What a reservation spends.
#[derive(Debug, Clone, Copy)]
enum Spend<'a> {
    Nothing,
    Override(&'a str),
    Approval(&'a str),
}

impl Spend<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Override(_) => "override",
            Self::Approval(_) => "approval",
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Override(id) | Self::Approval(id) => id,
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Nothing | Self::Override(_) => "overrides",
            Self::Approval(_) => "approvals",
        }
    }
}

/// When a window ends.
fn ends(key: &CounterKey, start: Timestamp) -> Timestamp {
    let length = i64::try_from(key.window.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    start.plus_micros(length)
}

/// An end as it is kept: nothing for none.
fn end(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| until.0.to_string())
}

impl Store for RedisStore {
    fn reserve(&self, now: Timestamp, wants: &[Want]) -> Result<Reserved> {
        if wants.is_empty() {
            self.check_lost()?;
            return Ok(Reserved::Done { usages: Vec::new(), taken: Vec::new() });
        }
        self.count(now, wants, "count", Spend::Nothing)?
            .ok_or_else(|| self.fail("it gave an answer that is not understood"))
    }

    fn reserve_with_override(&self, now: Timestamp, wants: &[Want], id: &str) -> Result<Option<Reserved>> {
        self.count(now, wants, "count", Spend::Override(id))
    }

    fn peek(&self, now: Timestamp, wants: &[Want]) -> Result<Vec<Usage>> {
        if wants.is_empty() {
            self.check_lost()?;
            return Ok(Vec::new());
        }
        match self.count(now, wants, "look", Spend::Nothing)? {
            Some(Reserved::Full { usages } | Reserved::Done { usages, .. }) => Ok(usages),
            None => Err(self.fail("it gave an answer that is not understood")),
        }
    }

    fn release(&self, taken: &[Taken]) -> Result<()> {
        if taken.is_empty() {
            return self.check_lost();
        }
        let keys: Vec<String> = taken.iter().map(|one| self.keys.counter(&one.key)).collect();
        let arguments: Vec<String> =
            taken.iter().flat_map(|one| [one.window_start.0.to_string(), digits(one.amount)]).collect();
        self.run(&self.scripts.release, Timestamp(0), &keys, &arguments).map(drop)
    }

    fn standing(&self, now: Timestamp) -> Result<Standing> {
        let answer = self.stand(now, &["read"])?;
        let freezes: usize = self.number(&answer, 3)?;
        let overrides: usize = self.number(&answer, 4)?;
        let values = answer.get(5..).unwrap_or_default();
        if values.len() < freezes.saturating_add(overrides) {
            return Err(self.fail("it gave an answer that is not understood"));
        }
        let (freezes, values) = values.split_at(freezes);
        let (overrides, approvals) = values.split_at(overrides);
        let mut standing = Standing::default();
        for kept in freezes {
            let freeze: Freeze = self.read(kept)?;
            if freeze.until.is_none_or(|until| now < until) {
                standing.freezes.push(freeze);
            }
        }
        for kept in overrides {
            let entry = self.read_override(kept)?;
            if entry.stands(now) {
                standing.overrides.push(entry);
            }
        }
        for kept in approvals {
            let entry: Approval = self.read(kept)?;
            if entry.stands(now) {
                standing.approvals.push(entry);
            }
        }
        standing.approvals.sort_by(|a, b| (a.asked_at, &a.id).cmp(&(b.asked_at, &b.id)));
        standing.freezes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        standing.overrides.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(standing)
    }

    fn standing_version(&self) -> Result<u64> {
        let mut look = Cmd::new();
        look.arg("HMGET").arg(self.keys.one("store")).arg(&["life", "seq", "standing"]);
        let before = self.seen.load(Ordering::SeqCst);
        let (life, seq, standing): (Option<String>, Option<u64>, Option<u64>) =
            self.ask(|connection| look.query(connection))?;
        if life.as_deref() != Some(self.life.as_str()) {
            return Err(self.forgot("it came back without what it held, or another one answers"));
        }
        let seq = seq.unwrap_or(0);
        if seq < before {
            return Err(self.forgot("it came back without its last changes"));
        }
        self.saw(seq);
        Ok(standing.unwrap_or(0))
    }

    fn freeze(&self, freeze: &Freeze) -> Result<()> {
        let scope = scope_of(freeze.server.as_deref(), freeze.grant.as_deref(), freeze.tool.as_deref());
        let kept = format!("{}|{scope}|{}", end(freeze.until), self.text(freeze)?);
        let answer = self.stand(freeze.at, &["freeze", &freeze.id, &kept])?;
        self.added(&answer, "a freeze", &freeze.id)
    }

    fn unfreeze_by(
        &self,
        server: Option<&str>,
        grant: Option<&str>,
        tool: Option<&str>,
        lift: Option<&Lift>,
    ) -> Result<Vec<Freeze>> {
        let note = match lift {
            Some(lift) => format!("{}||{}", lift.at.0, self.text(lift)?),
            None => String::new(),
        };
        let now = lift.map_or_else(crate::clock::now, |lift| lift.at);
        let answer = self.stand(now, &["unfreeze", &scope_of(server, grant, tool), &note])?;
        let mut ended = answer
            .get(2..)
            .unwrap_or_default()
            .iter()
            .map(|kept| self.read::<Freeze>(kept))
            .collect::<Result<Vec<_>>>()?;
        ended.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(ended)
    }

    fn lifted(&self, id: &str) -> Result<Option<Lift>> {
        let mut look = Cmd::new();
        look.arg("HGET").arg(self.keys.one("lifted")).arg(id);
        let kept: Option<String> = self.ask(|connection| look.query(connection))?;
        kept.map(|kept| self.read(&kept)).transpose()
    }

    fn set_override(&self, entry: &Override) -> Result<()> {
        let uses = entry.uses.map_or_else(String::new, |uses| uses.to_string());
        let kept = format!("{}|{uses}|{}", end(entry.until), self.text(entry)?);
        let answer = self.stand(entry.at, &["override", &entry.id, &kept])?;
        self.added(&answer, "an override", &entry.id)
    }

    fn end_override_by(&self, id: &str, lift: Option<&Lift>) -> Result<Option<Override>> {
        let note = match lift {
            Some(lift) => format!("{}||{}", lift.at.0, self.text(lift)?),
            None => String::new(),
        };
        let now = lift.map_or_else(crate::clock::now, |lift| lift.at);
        let answer = self.stand(now, &["end override", id, &note])?;
        answer.get(2).map(|kept| self.read_override(kept)).transpose()
    }

    fn ask_approval(&self, now: Timestamp, question: &Approval) -> Result<Asked> {
        self.ask_question(now, question)
    }

    fn leave_approval(&self, now: Timestamp, id: &str, cancelled: bool) -> Result<()> {
        self.leave_question(now, id, cancelled)
    }

    fn decide_approval(
        &self,
        now: Timestamp,
        id: &str,
        verdict: &ApprovalVerdict,
    ) -> Result<Option<Approval>> {
        self.decide_question(now, id, verdict)
    }

    fn reserve_with_approval(&self, now: Timestamp, wants: &[Want], id: &str) -> Result<Option<Reserved>> {
        self.count(now, wants, "count", Spend::Approval(id))
    }

    fn remember_round(&self, now: Timestamp, round: &Round) -> Result<()> {
        self.keep_round(now, round)
    }

    fn take_round(&self, now: Timestamp, round: &Round) -> Result<bool> {
        self.use_round(now, round)
    }

    fn see_tools(&self, now: Timestamp, server: &str, tools: &[(String, String)]) -> Result<()> {
        let mut arguments = vec!["see".to_owned(), now.0.to_string()];
        arguments.extend(tools.iter().flat_map(|(tool, digest)| [tool.clone(), digest.clone()]));
        self.run(&self.scripts.seen, now, &[self.keys.seen(server)], &arguments).map(drop)
    }

    fn seen_tools(&self, server: &str) -> Result<Vec<SeenTool>> {
        let arguments = ["read".to_owned()];
        let answer = self.run(&self.scripts.seen, Timestamp(0), &[self.keys.seen(server)], &arguments)?;
        let mut seen = Vec::new();
        for pair in answer.get(2..).unwrap_or_default().chunks(2) {
            let (Some(tool), Some((at, digest))) =
                (pair.first(), pair.get(1).and_then(|value| value.split_once('|')))
            else {
                return Err(self.fail("it holds a list of tools that cannot be read"));
            };
            let at = at.parse().map(Timestamp).map_err(|_| self.fail("it holds an instant that is none"))?;
            seen.push(SeenTool { tool: tool.clone(), digest: digest.to_owned(), at });
        }
        seen.sort_by(|a, b| a.tool.cmp(&b.tool));
        Ok(seen)
    }

    fn counters(&self, now: Timestamp) -> Result<Vec<Usage>> {
        let mut look = Cmd::new();
        look.arg("ZRANGEBYSCORE").arg(self.keys.one("counters")).arg(format!("({}", now.0)).arg("+inf");
        let names: Vec<String> = self.ask(|connection| look.query(connection))?;
        let mut usages = Vec::new();
        for names in names.chunks(AT_ONCE) {
            let mut look = Cmd::new();
            look.arg("MGET").arg(names);
            let values: Vec<Option<String>> = self.ask(|connection| look.query(connection))?;
            for (name, value) in names.iter().zip(values) {
                let (Some(key), Some(value)) = (self.keys.read_counter(name), value) else { continue };
                let mut parts = value.split(' ');
                let start = parts.next().and_then(|text| text.parse().ok()).map(Timestamp);
                let (used, max) = (parts.next().and_then(read_digits), parts.next().and_then(read_digits));
                let (Some(start), Some(used), Some(max)) = (start, used, max) else {
                    return Err(self.fail("it holds a counter that cannot be read"));
                };
                let resets_at = ends(&key, start);
                if used > Amount::ZERO && resets_at > now {
                    usages.push(Usage { key, used, max, window_start: start, resets_at, room: used < max });
                }
            }
        }
        usages.sort_by(|a, b| {
            fn place(usage: &Usage) -> (&str, &str, &str, &str, u64) {
                let key = &usage.key;
                (&key.server, &key.counter, &key.scope_value, key.scope.name(), key.window)
            }
            place(a).cmp(&place(b))
        });
        Ok(usages)
    }

    fn news(&self) -> Vec<String> {
        self.pool.news()
    }
}

/// A freeze's scope as one text.
fn scope_of(server: Option<&str>, grant: Option<&str>, tool: Option<&str>) -> String {
    format!("{},{},{}", optional(server), optional(grant), optional(tool))
}
