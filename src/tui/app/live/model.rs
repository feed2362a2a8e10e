//! Whatever arrives, leaves, is filtered, folded, counted, marked and scrolled: what is shown is what
//! a simple list of everything says, without a seam between the journal and the memory, and the
//! selection stays on its row.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::past::{BASE, Way};
use super::ring::Bounds;
use super::tally::{By, Key, Order};
use super::tests::call;
use super::*;
use crate::journal::Place;
use crate::record::Decision;

const FILTERS: [&str; 3] = ["", "tool:pull", "decision:deny"];
/// Rows of a page in this model.
const PAGE: usize = 7;

#[derive(Debug, Clone)]
enum Step {
    Take(Vec<(u8, bool, u8)>),
    Move(i8),
    Oldest,
    Follow,
    Filter(usize),
    Fold(bool),
    Toggle,
    Pivot(bool),
    Strip(bool),
    Mark,
    OnlyMarked(bool),
    Work,
    Page,
    Time(u8),
    Search,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..3u8, any::<bool>(), 0..9u8), 0..30).prop_map(Step::Take),
        3 => any::<i8>().prop_map(Step::Move),
        2 => Just(Step::Oldest),
        1 => Just(Step::Follow),
        1 => (0..FILTERS.len()).prop_map(Step::Filter),
        1 => any::<bool>().prop_map(Step::Fold),
        1 => Just(Step::Toggle),
        1 => any::<bool>().prop_map(Step::Pivot),
        1 => any::<bool>().prop_map(Step::Strip),
        1 => Just(Step::Mark),
        1 => any::<bool>().prop_map(Step::OnlyMarked),
        2 => Just(Step::Work),
        4 => Just(Step::Page),
        1 => any::<u8>().prop_map(Step::Time),
        1 => Just(Step::Search),
    ]
}

/// Everything that ever came, and what is asked for.
#[derive(Default)]
struct World {
    all: Vec<Decision>,
    filter: usize,
    only: bool,
    marks: HashSet<(SourceNo, u64)>,
}

impl World {
    fn lets(&self, row: &Decision) -> bool {
        let by_filter = match self.filter {
            1 => row.tool.as_deref() == Some("pull"),
            2 => row.decision == Verdict::Deny,
            _ => true,
        };
        by_filter && (!self.only || self.marks.contains(&(0, row.seq)))
    }

    /// What is shown of everything, oldest first.
    fn shown(&self) -> Vec<u64> {
        self.all.iter().filter(|row| self.lets(row)).map(|row| row.seq).collect()
    }

    /// Answers a page that is asked for.
    fn page(&self, live: &mut Live, way: Way) {
        let in_memory = live.ring.get(live.ring.first()).map_or(u64::MAX, |row| row.seq);
        let past = &live.ring.past;
        let at = |id: u64| past.get(id).map(|row| row.seq);
        let (seqs, ended): (Vec<u64>, bool) = match way {
            Way::Older => {
                let before =
                    if past.is_closed() { in_memory } else { at(past.first()).unwrap_or(live_edge(live)) };
                let older: Vec<u64> = self.shown().into_iter().filter(|seq| *seq < before).collect();
                let from = older.len().saturating_sub(PAGE);
                (older[from..].to_vec(), from == 0)
            }
            Way::Newer => {
                let last = past.first() + past.len() as u64;
                let after = at(last - 1).unwrap_or(0);
                let newer = |seq: &u64| *seq > after && *seq < in_memory;
                let newer: Vec<u64> = self.shown().into_iter().filter(newer).collect();
                (newer[..newer.len().min(PAGE)].to_vec(), newer.len() <= PAGE)
            }
        };
        let of = |seq: u64| self.all.iter().find(|row| row.seq == seq).cloned().expect("it came");
        let records: Vec<_> =
            seqs.into_iter().map(|seq| (0, Record::Decision(Box::new(of(seq))), None)).collect();
        let opens = live.ring.past.is_closed();
        let first = live.ring.first();
        let top = live.top;
        let place = Arc::new(Place::default());
        live.ring.add_past(way, &records, &[], (Arc::clone(&place), place));
        match way {
            Way::Older => {
                if opens {
                    live.ring.past.reach(first);
                }
                live.ring.past.ended = ended;
            }
            Way::Newer if ended => live.ring.past.reach(first),
            Way::Newer => {}
        }
        live.after_page(top);
    }
}

/// Before what the window begins when it holds no rows: nothing was let through so far.
fn live_edge(live: &Live) -> u64 {
    live.ring.get(live.ring.first()).map_or(u64::MAX, |row| row.seq)
}

/// Every row that is shown, repeats one by one.
fn unfolded(live: &Live) -> Vec<u64> {
    let mut ids: Vec<u64> = Vec::new();
    for id in (0..live.count()).filter_map(|index| live.nth(index)) {
        match live.repeat(id).filter(|repeat| !repeat.open) {
            Some(repeat) => ids.extend(&repeat.members),
            None => ids.push(id),
        }
    }
    ids.sort_unstable();
    ids.into_iter().map(|id| live.ring.get(id).expect("kept").seq).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_what_a_list_of_everything_says(steps in prop::collection::vec(step(), 1..50)) {
        let mut live = Live::new(Bounds { rows: 40, bytes: usize::MAX });
        live.has_journals = true;
        live.set_height(5);
        let mut world = World::default();
        let mut second = 0;
        for step in steps {
            let held = live.selected_row().map(|row| row.seq).filter(|_| !live.is_following());
            let mut moves = true;
            match step {
                Step::Take(rows) => {
                    moves = false;
                    let first = world.all.len() as u64 + 1;
                    let records: Vec<Record> = (first..).zip(rows).map(|(seq, (tool, deny, pause))| {
                        second += i64::from(pause);
                        let verdict = if deny { Verdict::Deny } else { Verdict::Allow };
                        let Record::Decision(mut row) = call(seq, ["pull", "push", "ps"][usize::from(tool)], verdict) else { unreachable!() };
                        row.ts = Timestamp::from_secs(second);
                        world.all.push(Decision::clone(&row));
                        Record::Decision(row)
                    }).collect();
                    live.take(0, &records);
                }
                Step::Move(by) => live.move_by(isize::from(by)),
                Step::Oldest => live.to_oldest(),
                Step::Follow => live.follow(),
                Step::Filter(which) => {
                    world.filter = which;
                    live.set_filter(FILTERS[which], Timestamp::default()).expect("valid");
                }
                Step::Fold(on) => live.fold(on),
                Step::Toggle => { live.toggle_repeats(); }
                Step::Pivot(on) => live.count_by(on.then_some(By::Tool)),
                Step::Strip(on) => live.count_time(on),
                Step::Mark => {
                    if let Some(seq) = live.selected_row().map(|row| row.seq) {
                        world.marks.insert((0, seq));
                        live.marked(0, seq, true);
                    }
                }
                Step::OnlyMarked(on) => {
                    world.only = on;
                    live.show_only(on.then(|| world.marks.clone()));
                }
                Step::Work => { while live.work() && live.wanted().is_none() {} }
                Step::Page => if let Some(way) = live.wanted() { world.page(&mut live, way) },
                Step::Time(at) => live.to_time(Timestamp::from_secs(i64::from(at))),
                Step::Search => { let _ = live.set_search("pull", Timestamp::default()); }
            }
            if let (Some(seq), false) = (held, moves) {
                // New rows move no selection while its row is there.
                let there = live.ring.find(0, seq).is_some_and(|id| id < BASE || id >= live.ring.first());
                let now = live.selected_row().map(|row| row.seq);
                let folded = live.folds();
                prop_assert!(!there || folded || now == Some(seq), "{:?} became {:?}", seq, now);
            }

            let shown = unfolded(&live);
            let expected = world.shown();
            if live.is_settled() {
                // What is shown is an unbroken part of everything.
                if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
                    let from = expected.partition_point(|seq| seq < first);
                    let to = expected.partition_point(|seq| seq <= last);
                    prop_assert_eq!(&shown[..], &expected[from..to], "no seam");
                    if live.joined() {
                        prop_assert_eq!(Some(last), expected.last(), "up to the newest");
                    }
                }
            }
            let visible = live.visible();
            prop_assert_eq!(visible.len(), live.height().min(live.count()));
            prop_assert!(visible.windows(2).all(|pair| pair[0] < pair[1]));
            if live.count() > 0 {
                let selected = live.selected().expect("something is selected");
                prop_assert!(live.ring.get(selected).is_some(), "{selected}");
                if live.is_settled() && !live.is_following() && live.seek.is_none() {
                    let at = live.index_of(selected);
                    prop_assert!(at < live.count() || !live.joined(), "{selected} is not in reach");
                }
            }

            // The counts are of what is in memory.
            if live.is_settled() {
                let first = live.ring.get(live.ring.first()).map_or(u64::MAX, |row| row.seq);
                let kept: Vec<&Decision> = world.all.iter().filter(|row| row.seq >= first && world.lets(row)).collect();
                if let Some(tally) = live.tally() {
                    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
                    for row in &kept {
                        let count = counts.entry(row.tool.as_deref().unwrap_or("")).or_default();
                        count.0 += 1;
                        count.1 += u64::from(row.decision == Verdict::Deny);
                    }
                    let names = &live.ring.names;
                    let found: BTreeMap<&str, (u64, u64)> = tally
                        .sorted(Order::Calls, names, Timestamp::from_secs(second))
                        .into_iter()
                        .map(|(key, group)| match key {
                            Key::Name(name) => (names.text(name), (group.calls, group.denies)),
                            Key::Minute(_) => unreachable!(),
                        })
                        .collect();
                    prop_assert_eq!(found, counts);
                }
                if let Some(strip) = live.strip() {
                    let columns = strip.columns(0, 1, usize::try_from(second).unwrap() + 1);
                    let (calls, denies) = columns.iter().fold((0, 0), |sum, column| (sum.0 + column.calls, sum.1 + column.denies));
                    prop_assert_eq!(calls, kept.len() as u64);
                    prop_assert_eq!(denies, kept.iter().filter(|row| row.decision == Verdict::Deny).count() as u64);
                }
            }
        }
    }
}
