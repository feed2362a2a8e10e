use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use super::*;
use crate::counters::OverrideEffect;
use crate::policy::counter::{Amount, CounterKey};
use crate::policy::model::Scope;

const NOW: Timestamp = Timestamp(1_800_000_030_000_000);

fn want(counter: &str, increment: i128, max: i128) -> Want {
    Want {
        key: CounterKey {
            server: "s".to_owned(),
            scope: Scope::Grant,
            scope_value: "local".to_owned(),
            counter: counter.to_owned(),
            window: 60,
        },
        increment: Amount(increment),
        max: Amount(max),
        past_max: false,
    }
}

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state").join("store.sqlite")).unwrap();
    (folder, store)
}

fn used(store: &SqliteStore, now: Timestamp, counter: &str) -> i128 {
    store.peek(now, &[want(counter, 0, 1)]).unwrap()[0].used.0
}

fn freeze(id: &str, server: Option<&str>, until: Option<Timestamp>) -> Freeze {
    Freeze {
        id: id.to_owned(),
        server: server.map(str::to_owned),
        grant: None,
        tool: None,
        until,
        by: "me".to_owned(),
        at: NOW,
        reason: "because".to_owned(),
    }
}

#[test]
fn counts_all_or_nothing() {
    let (_folder, store) = store();
    let both = [want("a", 1, 10), want("b", 1, 1)];
    assert!(matches!(store.reserve(NOW, &both).unwrap(), Reserved::Done { .. }));
    let Reserved::Full { usages } = store.reserve(NOW, &both).unwrap() else { panic!("b has no room") };
    assert_eq!(
        usages.iter().map(|usage| (usage.used.0, usage.room)).collect::<Vec<_>>(),
        [(1, true), (1, false)]
    );
    assert_eq!(used(&store, NOW, "a"), 1);
    assert_eq!(store.counters(NOW).unwrap().len(), 2);
    assert!(store.counters(NOW.plus_micros(60_000_000)).unwrap().is_empty());
}

#[test]
fn amounts_of_any_size_come_back_exactly() {
    let (folder, store) = store();
    let huge = i128::MAX / 3;
    store.reserve(NOW, &[want("huge", huge, i128::MAX)]).unwrap();
    store.reserve(NOW, &[want("huge", 1, i128::MAX)]).unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("state/store.sqlite")).unwrap();
    assert_eq!(used(&store, NOW, "huge"), huge + 1);
    let Ok(Reserved::Full { .. }) = store.reserve(NOW, &[want("huge", -1, i128::MAX)]) else {
        panic!("nobody counts backwards")
    };
}

#[test]
fn one_counter_twice_in_a_call_counts_twice_or_not_at_all() {
    let (_folder, store) = store();
    let twice = [want("a", 2, 5), want("a", 3, 5)];
    let Reserved::Done { usages, taken } = store.reserve(NOW, &twice).unwrap() else { panic!("fits") };
    assert_eq!(usages.iter().map(|usage| usage.used.0).collect::<Vec<_>>(), [2, 5]);
    store.release(&taken).unwrap();
    assert_eq!(used(&store, NOW, "a"), 0);
    store.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    let Reserved::Full { usages } = store.reserve(NOW, &twice).unwrap() else { panic!("full") };
    assert_eq!(
        usages.iter().map(|usage| (usage.used.0, usage.room)).collect::<Vec<_>>(),
        [(1, true), (1, false)]
    );
}

#[test]
fn a_clock_stepped_back_refills_nothing() {
    let (_folder, store) = store();
    store.reserve(NOW, &[want("a", 1, 1)]).unwrap();
    for back in [1, 60_000_000, 86_400_000_000] {
        let earlier = NOW.plus_micros(-back);
        assert!(matches!(store.reserve(earlier, &[want("a", 1, 1)]).unwrap(), Reserved::Full { .. }));
    }
    let next = NOW.plus_micros(60_000_000);
    assert!(matches!(store.reserve(next, &[want("a", 1, 1)]).unwrap(), Reserved::Done { .. }));
}

#[test]
fn a_release_reaches_only_its_own_window() {
    let (_folder, store) = store();
    let Reserved::Done { taken, .. } = store.reserve(NOW, &[want("a", 3, 9)]).unwrap() else {
        panic!("fits")
    };
    store.release(&taken).unwrap();
    assert_eq!(used(&store, NOW, "a"), 0);
    store.release(&taken).unwrap();
    assert_eq!(used(&store, NOW, "a"), 0, "never below zero");
    let next = NOW.plus_micros(60_000_000);
    store.reserve(next, &[want("a", 2, 9)]).unwrap();
    store.release(&taken).unwrap();
    assert_eq!(used(&store, next, "a"), 2);
}

#[test]
fn freezes_are_seen_by_others_and_end() {
    let (_folder, store) = store();
    let other = SqliteStore::open(store.path()).unwrap();
    let before = other.standing_version().unwrap();
    assert_eq!(other.standing_version().unwrap(), before);
    other.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    store.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    assert_eq!(other.standing_version().unwrap(), before, "counting changes nothing that stands");
    store.freeze(&freeze("f1", Some("docker"), None)).unwrap();
    store.freeze(&freeze("f2", None, Some(NOW.plus_micros(1)))).unwrap();
    assert!(store.freeze(&freeze("f1", None, None)).is_err(), "an id is used once");
    let after = other.standing_version().unwrap();
    assert_ne!(after, before);
    assert_eq!(store.standing_version().unwrap(), after);
    assert_eq!(other.standing(NOW).unwrap().freezes.len(), 2);
    assert_eq!(other.standing(NOW.plus_micros(1)).unwrap().freezes.len(), 1);
    assert!(other.unfreeze(Some("docker"), Some("g"), None).unwrap().is_empty());
    assert_eq!(other.unfreeze(Some("docker"), None, None).unwrap(), [freeze("f1", Some("docker"), None)]);
    assert_ne!(store.standing_version().unwrap(), after);
    assert_ne!(other.standing_version().unwrap(), after, "its own changes too");
}

#[test]
fn a_use_of_an_override_is_taken_with_the_count_or_not_at_all() {
    let (_folder, store) = store();
    let entry = Override {
        id: "o".to_owned(),
        effect: OverrideEffect::Approved,
        server: "s".to_owned(),
        grant: None,
        tool: "t".to_owned(),
        args_sha256: None,
        until: None,
        uses: Some(1),
        run: None,
        by: "me".to_owned(),
        at: NOW,
        reason: String::new(),
    };
    store.set_override(&entry).unwrap();
    store.reserve(NOW, &[want("a", 1, 1)]).unwrap();
    let full = store.reserve_with_override(NOW, &[want("a", 1, 1)], "o").unwrap();
    assert!(matches!(full, Some(Reserved::Full { .. })));
    assert_eq!(store.standing(NOW).unwrap().overrides, std::slice::from_ref(&entry));
    let past = [Want { past_max: true, ..want("a", 1, 1) }];
    assert!(matches!(store.reserve_with_override(NOW, &past, "o").unwrap(), Some(Reserved::Done { .. })));
    assert_eq!(used(&store, NOW, "a"), 2);
    assert!(store.standing(NOW).unwrap().overrides.is_empty());
    assert_eq!(store.reserve_with_override(NOW, &past, "o").unwrap(), None);
    assert_eq!(used(&store, NOW, "a"), 2);
    assert!(store.end_override("o").unwrap().is_some());
    assert!(store.end_override("o").unwrap().is_none());
}

#[test]
fn rows_long_over_are_removed() {
    let (_folder, store) = store();
    for session in 0..100 {
        store.reserve(NOW, &[want(&format!("c{session}"), 1, 5)]).unwrap();
    }
    let later = NOW.plus_micros(PRUNE_AFTER + 120_000_000);
    for _ in 0..PRUNE_EVERY {
        store.reserve(later, &[want("new", 1, 1000)]).unwrap();
    }
    let rows: i64 =
        lock(&store.main).connection.query_row("SELECT count(*) FROM counter", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = store();
    store.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder.path().join("state")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["store.sqlite", "store.sqlite-shm", "store.sqlite-wal"], "no draft is left");
    assert_eq!(fs::metadata(folder.path().join("state")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |name: &str, says: &str| {
        let path = folder.path().join(name);
        let before = fs::read(&path).ok();
        let error = SqliteStore::open(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(fs::read(&path).ok(), before);
    };
    fs::write(folder.path().join("text"), "this is a letter to my mother, not a database\n".repeat(99))
        .unwrap();
    refuse("text", "no store of callgate's");
    fs::write(folder.path().join("empty"), "").unwrap();
    refuse("empty", "it is empty");
    fs::create_dir(folder.path().join("folder")).unwrap();
    refuse("folder", "it is no file");
    let other = Connection::open(folder.path().join("other")).unwrap();
    other.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1)").unwrap();
    drop(other);
    refuse("other", "another program");
    fs::write(folder.path().join("gone-wal"), "log").unwrap();
    refuse("gone", "it is missing although its log");
    drop(SqliteStore::open(&folder.path().join("newer")).unwrap());
    Connection::open(folder.path().join("newer")).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    refuse("newer", "layout 9");
}

#[test]
fn damage_is_an_error_and_not_a_refill() {
    let (folder, store) = store();
    let path = store.path().to_owned();
    for n in 0..500 {
        store.reserve(NOW, &[want(&format!("counter number {n}"), 1, 1)]).unwrap();
    }
    drop(store);
    let good = fs::read(&path).unwrap();
    assert!(good.len() > 5 * 1024, "several pages");
    for page in 1..good.len() / 1024 {
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(page as u64 * 1024)).unwrap();
        file.write_all(&[0xa5; 1024]).unwrap();
        drop(file);
        match SqliteStore::open(&path) {
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
            Ok(store) => {
                for n in 0..500 {
                    let want = want(&format!("counter number {n}"), 1, 1);
                    assert!(!matches!(store.reserve(NOW, &[want]), Ok(Reserved::Done { .. })), "page {page}");
                }
            }
        }
        fs::write(&path, &good).unwrap();
    }
    // Cut short.
    fs::write(&path, &good[..good.len() - 1024]).unwrap();
    assert!(SqliteStore::open(&path).is_err());
    let mut left = String::new();
    fs::File::open(&path).unwrap().take(15).read_to_string(&mut left).unwrap();
    assert_eq!(left, "SQLite format 3");
    drop(folder);
}

#[test]
fn a_file_removed_while_in_use_is_noticed() {
    let (_folder, store) = store();
    store.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    fs::rename(store.path(), store.path().with_extension("away")).unwrap();
    assert!(store.standing_version().unwrap_err().to_string().contains("removed or replaced"));
    assert!(store.reserve(NOW, &[want("a", 1, 5)]).is_err());
    assert!(SqliteStore::open(store.path()).is_err(), "its log is still there");
    fs::rename(store.path().with_extension("away"), store.path()).unwrap();
    store.standing_version().unwrap();
    assert_eq!(used(&store, NOW, "a"), 1);
}

#[test]
fn a_lock_held_too_long_is_an_error_and_passes() {
    let (_folder, store) = store();
    store.reserve(NOW, &[want("a", 1, 5)]).unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.reserve(NOW, &[want("a", 1, 5)]).unwrap_err().to_string().contains("keeps it locked"));
    assert_eq!(used(&store, NOW, "a"), 1, "looking needs no lock");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(store.reserve(NOW, &[want("a", 1, 5)]), Ok(Reserved::Done { .. })));
}

#[test]
fn maintenance_moves_the_log_and_loses_nothing() {
    let (_folder, store) = store();
    for _ in 0..1200 {
        store.reserve(NOW, &[want("a", 1, 5000)]).unwrap();
    }
    let log = || fs::metadata(open::beside(store.path(), "-wal")).unwrap().len();
    assert!(log() > LONG_LOG);
    store.maintain().unwrap();
    while store.moving.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    // The next one begins the log anew; what is in the main file is no less there.
    store.reserve(NOW, &[want("a", 1, 5000)]).unwrap();
    let main = Connection::open(store.path()).unwrap();
    let (busy, rest): (i64, i64) =
        main.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(busy == 0 && rest < 10, "{rest} pages are left in the log");
    assert_eq!(used(&store, NOW, "a"), 1201);
}

#[test]
fn a_store_of_the_released_layout_is_extended_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    open::build_released(&path).unwrap();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "INSERT INTO counter VALUES('s', 'grant', 'local', 'a', 60, 1800000000000000, 1800000060000000,
           x'00000000000000000000000000000007', x'0000000000000000000000000000000a');
         INSERT INTO freeze VALUES('f', NULL, NULL, NULL, NULL,
           '{\"id\":\"f\",\"by\":\"me\",\"at\":\"2027-01-15T08:00:00.000000Z\",\"reason\":\"why\"}');
         INSERT INTO override VALUES('o', NULL, '{\"id\":\"o\",\"effect\":\"deny\",\"server\":\"s\",\"tool\":\"t\",\"uses\":2,
           \"by\":\"me\",\"at\":\"2027-01-15T08:00:00.000000Z\",\"reason\":\"\"}');",
    )
    .unwrap();
    // Many at once, while the old one is still in use.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = SqliteStore::open(&path).unwrap();
                assert_eq!(used(&store, NOW, "a"), 7);
                assert!(store.approvals(NOW).unwrap().is_empty());
            });
        }
    });
    let store = SqliteStore::open(&path).unwrap();
    let standing = store.standing(NOW).unwrap();
    assert_eq!((standing.freezes.len(), standing.overrides.len()), (1, 1));
    assert_eq!((standing.overrides[0].uses, &standing.overrides[0].run), (Some(2), &None));
    let round = Round {
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: String::new(),
        state_sha256: None,
    };
    store.remember_round(NOW, &round).unwrap();
    assert!(store.take_round(NOW, &round).unwrap());
    old.execute_batch("UPDATE counter SET used = x'00000000000000000000000000000008'").unwrap();
    assert_eq!(used(&store, NOW, "a"), 8, "an older callgate that runs goes on counting");
    let layouts = |path: &std::path::Path| -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    };
    let fresh = folder.path().join("fresh.sqlite");
    drop(SqliteStore::open(&fresh).unwrap());
    assert_eq!(layouts(&path), layouts(&fresh), "as one made anew");
}
