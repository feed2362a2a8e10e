//! The pure session together with held calls, against a model so simple that it is plainly right: in
//! any order of frames, answers, approvals, reloads, cancellations and ends, exactly what was
//! allowed goes on, each request is answered exactly once, and exactly what did not run is given
//! back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;

use callgate::counters::{Approval, ApprovalVerdict, CallArgs};
use callgate::gateway::call::holds::{Hold, PATIENCE_US, Seen, Turn};
use callgate::gateway::call::session::{Answer, Asks, Call, Session, gives_back};
use callgate::mcp::id::{Id, IdKey};
use callgate::policy::counter::{Amount, CounterKey, Taken};
use callgate::policy::model::Scope;
use callgate::time::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const TIMEOUT_S: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Waits,
    Approved,
    Rejected,
    /// Another call used it.
    Gone,
}

#[derive(Debug, Clone)]
enum Act {
    /// A call that the policy allows, and whether it is written as a whole.
    Call(u8, bool),
    /// A call that needs an approval, and whether the client asked for progress.
    Ask(u8, bool),
    /// Another request.
    Other(u8),
    Cancel(u8),
    /// A person answers what the client asked under this id.
    Decide(u8, Verdict),
    /// Everything is frozen, or not any more.
    Freeze(bool),
    /// What the policy says of an approved call from now on.
    Policy(bool),
    /// So many seconds pass, and held calls are looked after.
    Pass(u8),
    /// The server answers: with a result, or this error.
    Answer(u8, Option<i64>),
    ClientGone,
    ServerGone,
}

fn act() -> impl Strategy<Value = Act> {
    let id = || 0..5_u8;
    let verdict = prop_oneof![
        3 => Just(Verdict::Approved), 1 => Just(Verdict::Rejected), 1 => Just(Verdict::Gone)
    ];
    let code = prop_oneof![Just(-32601_i64), Just(-32603), Just(-32602), Just(-32021)];
    prop_oneof![
        4 => (id(), prop::bool::weighted(0.9)).prop_map(|(id, whole)| Act::Call(id, whole)),
        6 => (id(), any::<bool>()).prop_map(|(id, token)| Act::Ask(id, token)),
        1 => id().prop_map(Act::Other),
        3 => id().prop_map(Act::Cancel),
        6 => (id(), verdict).prop_map(|(id, verdict)| Act::Decide(id, verdict)),
        1 => any::<bool>().prop_map(Act::Freeze),
        1 => any::<bool>().prop_map(Act::Policy),
        8 => (0..60_u8).prop_map(Act::Pass),
        6 => (id(), prop::option::weighted(0.4, code)).prop_map(|(id, code)| Act::Answer(id, code)),
        1 => Just(Act::ClientGone),
        1 => Just(Act::ServerGone),
    ]
}

fn id(number: u8) -> Id {
    Id::from_json(number.to_string().as_bytes()).unwrap()
}

fn key(number: u8) -> IdKey {
    id(number).key
}

/// What one call counted; its amount names it.
fn taken(number: usize) -> Vec<Taken> {
    let key = CounterKey {
        server: "s".to_owned(),
        scope: Scope::Grant,
        scope_value: "g".to_owned(),
        counter: "c".to_owned(),
        window: 60,
    };
    vec![Taken { key, window_start: NOW, amount: Amount(i128::try_from(number).unwrap()) }]
}

fn numbers(taken: &[Taken]) -> Vec<usize> {
    taken.iter().map(|one| usize::try_from(one.amount.0).unwrap()).collect()
}

fn question(verdict: Verdict) -> Option<Approval> {
    let until = NOW.plus_micros(i64::MAX / 4);
    let given = |approved| ApprovalVerdict {
        approved,
        by: "me".to_owned(),
        at: NOW,
        note: "no".to_owned(),
        until,
        for_s: None,
    };
    let entry = Approval {
        id: "q".to_owned(),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: String::new(),
        policy: String::new(),
        args: CallArgs::new("{}").unwrap(),
        rule: String::new(),
        pointer: String::new(),
        message: String::new(),
        client: None,
        asked_at: NOW,
        until,
        timeout_s: TIMEOUT_S,
        holders: 1,
        kept: false,
        verdict: None,
    };
    match verdict {
        Verdict::Gone => None,
        Verdict::Waits => Some(entry),
        Verdict::Approved => Some(Approval { verdict: Some(given(true)), ..entry }),
        Verdict::Rejected => Some(Approval { verdict: Some(given(false)), ..entry }),
    }
}

/// What became of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fate {
    id: u8,
    is_call: bool,
    forwarded: u32,
    answered: u32,
    released: u32,
    cancelled: bool,
}

/// A held call as the gateway keeps it.
struct Held {
    request: usize,
    id: u8,
    hold: Hold,
    verdict: Verdict,
}

/// The gateway around the session, with every lock and stream left out.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)]
struct Gateway {
    session: Session,
    held: Vec<Held>,
    frozen: bool,
    denies: bool,
    client_gone: bool,
    server_gone: bool,
    now_us: u64,
    fates: Vec<Fate>,
}

impl Gateway {
    fn request(&mut self, id: u8, is_call: bool) -> usize {
        self.fates.push(Fate { id, is_call, ..Fate::default() });
        self.fates.len() - 1
    }

    /// The newest request with that id.
    fn newest(&self, id: u8) -> Option<usize> {
        self.fates.iter().rposition(|fate| fate.id == id)
    }

    fn release(&mut self, taken: &[Taken]) {
        for number in numbers(taken) {
            self.fates[number].released += 1;
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Call(number, whole) => self.call(number, whole),
            Act::Ask(number, token) => {
                if self.client_gone {
                    return;
                }
                let request = self.request(number, true);
                if !self.session.hold(id(number)) {
                    self.fates[request].answered += 1;
                    return;
                }
                let token = token.then(|| "1".to_owned());
                let hold = Hold::new("q".to_owned(), token, TIMEOUT_S, self.now_us);
                self.held.push(Held { request, id: number, hold, verdict: Verdict::Waits });
            }
            Act::Other(number) => {
                if self.client_gone {
                    return;
                }
                let request = self.request(number, false);
                if !self.session.open(id(number), Asks::Other) {
                    self.fates[request].answered += 1;
                    return;
                }
                self.session.sending(&key(number), 0, self.now_us);
                self.forward(number, request, !self.session.is_gone());
            }
            Act::Cancel(number) => {
                if self.client_gone {
                    return;
                }
                if self.session.in_flight(&key(number))
                    && let Some(request) = self.newest_in_flight(number)
                {
                    self.fates[request].cancelled = true;
                }
                if let Some(ended) = self.session.cancel(&key(number), self.now_us) {
                    assert!(ended.release.is_empty(), "it may have run");
                }
            }
            Act::Decide(number, verdict) => {
                for held in self.held.iter_mut().filter(|held| held.id == number) {
                    held.verdict = verdict;
                }
            }
            Act::Freeze(frozen) => self.frozen = frozen,
            Act::Policy(denies) => self.denies = denies,
            Act::Pass(seconds) => {
                self.now_us += u64::from(seconds) * 1_000_000;
                self.tend();
            }
            Act::Answer(number, error) => self.answer(number, error),
            Act::ClientGone => {
                self.client_gone = true;
                self.tend();
            }
            Act::ServerGone => {
                self.server_gone = true;
                let left = self.session.server_gone(self.now_us);
                for raw in left.unanswered {
                    let request = self.newest_in_flight(raw.parse().unwrap()).unwrap();
                    self.fates[request].answered += 1;
                }
                assert!(left.lost.iter().all(|lost| lost.release.is_empty()));
                for held in std::mem::take(&mut self.held) {
                    if self.session.drop_held(&key(held.id)).is_some() {
                        self.fates[held.request].answered += 1;
                    }
                }
            }
        }
    }

    /// The newest request with that id which was not refused for its id.
    fn newest_in_flight(&self, id: u8) -> Option<usize> {
        self.fates.iter().rposition(|fate| fate.id == id && fate.answered == 0 && !fate.cancelled)
    }

    fn call(&mut self, number: u8, whole: bool) {
        if self.client_gone {
            return;
        }
        let request = self.request(number, true);
        let call = Call { taken: taken(request), decision: 1, ..Call::default() };
        if !self.session.open(id(number), Asks::Call(call)) {
            self.fates[request].answered += 1;
            return;
        }
        self.session.sending(&key(number), 1, self.now_us);
        self.forward(number, request, whole && !self.session.is_gone());
    }

    fn forward(&mut self, number: u8, request: usize, whole: bool) {
        if whole {
            self.fates[request].forwarded += 1;
            return;
        }
        let (_, ended) = self.session.withdraw(&key(number), self.now_us).unwrap();
        if let Some(ended) = ended {
            self.release(&ended.release);
        }
        self.fates[request].answered += 1;
    }

    fn tend(&mut self) {
        for mut held in std::mem::take(&mut self.held) {
            let question = question(held.verdict);
            let seen = Seen {
                question: question.as_ref(),
                fresh: true,
                frozen: self.frozen,
                cancelled: self.client_gone || self.session.is_cancelled(&key(held.id)),
            };
            match held.hold.turn(seen, self.now_us, NOW) {
                Turn::Wait | Turn::Progress(_) => self.held.push(held),
                Turn::Cancel => {
                    let _ = self.session.drop_held(&key(held.id));
                }
                Turn::Rejected(_) | Turn::Later | Turn::TimedOut => self.deny(&held),
                Turn::Again if self.frozen || (self.denies && held.verdict == Verdict::Approved) => {
                    self.deny(&held);
                }
                Turn::Again if held.verdict == Verdict::Approved => {
                    let call = Call { taken: taken(held.request), decision: 2, ..Call::default() };
                    match self.session.resume(&key(held.id), call, self.now_us) {
                        Ok(()) => self.fates[held.request].forwarded += 1,
                        Err(unanswered) => {
                            self.fates[held.request].released += 1;
                            self.fates[held.request].answered += u32::from(unanswered.is_some());
                        }
                    }
                }
                Turn::Again => {
                    held.verdict = Verdict::Waits;
                    held.hold.goes_on("q".to_owned(), self.now_us);
                    self.held.push(held);
                }
            }
        }
    }

    fn deny(&mut self, held: &Held) {
        if self.session.drop_held(&key(held.id)).is_some() {
            self.fates[held.request].answered += 1;
        }
    }

    fn answer(&mut self, number: u8, error: Option<i64>) {
        let pending = self.newest(number).filter(|_| self.session.in_flight(&key(number)));
        let sent = pending.and_then(|_| {
            self.fates.iter().rposition(|fate| fate.id == number && fate.forwarded == 1 && fate.answered == 0)
        });
        let waits = self.held.iter().any(|held| held.id == number);
        let before: u32 = self.fates.iter().map(|fate| fate.released).sum();
        let answered =
            self.session.answered(Some(&key(number)), Answer { error, ..Answer::default() }, self.now_us);
        if self.server_gone {
            return;
        }
        if waits {
            assert_eq!(answered.ended, None, "nobody answers what was not sent");
            return;
        }
        if let Some(ended) = answered.ended {
            let request = sent.expect("an answer to a call that was sent");
            assert_eq!(!ended.release.is_empty(), error.is_some_and(gives_back));
            self.release(&ended.release);
            assert!(self.fates[request].is_call && !self.fates[request].cancelled);
            self.fates[request].answered += 1;
        } else if let Some(request) = sent.filter(|_| pending.is_some())
            && !self.fates[request].cancelled
        {
            assert!(!self.fates[request].is_call);
            self.fates[request].answered += 1;
        }
        let after: u32 = self.fates.iter().map(|fate| fate.released).sum();
        assert!(after - before <= 1);
    }
}

fn holds(acts: &[Act]) {
    let mut gateway = Gateway::default();
    for act in acts {
        gateway.act(act);
        for fate in &gateway.fates {
            assert!(
                fate.forwarded <= 1 && fate.answered <= 1 && fate.released <= 1,
                "{fate:?} after {act:?}"
            );
            // What was cancelled while it was held never goes on: a forwarded one went on before.
            assert!(fate.forwarded == 0 || fate.released == 0 || fate.answered == 1, "{fate:?}");
        }
    }
    // Nobody waits for ever: after the timeout every held call has ended.
    let waiting: Vec<usize> = gateway.held.iter().map(|held| held.request).collect();
    gateway.now_us += TIMEOUT_S * 1_000_000 + PATIENCE_US;
    for held in &mut gateway.held {
        held.verdict = Verdict::Waits;
    }
    gateway.tend();
    assert!(gateway.held.is_empty());
    for request in waiting {
        let fate = &gateway.fates[request];
        assert_eq!(fate.forwarded, 0);
        assert!(fate.answered == 1 || fate.cancelled || gateway.client_gone, "{fate:?}");
    }
    // And once the server is gone, every request was answered, unless its client gave it up.
    gateway.act(&Act::ServerGone);
    let left: BTreeMap<usize, &Fate> = gateway.fates.iter().enumerate().collect();
    for (request, fate) in left {
        assert!(fate.answered == 1 || fate.cancelled || gateway.client_gone, "{request}: {fate:?}");
        assert!(fate.released == 0 || fate.answered == 1, "{fate:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_is_answered_once_and_forwards_what_was_allowed(acts in prop::collection::vec(act(), 1..80)) {
        holds(&acts);
    }
}
