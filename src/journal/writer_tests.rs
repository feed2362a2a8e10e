use super::*;
use crate::journal::backfill;
use crate::journal::read::{Reader, files};
use crate::record::{Event, EventKind};
use crate::time::Timestamp;

fn event(note: &str) -> Record {
    Record::Event(Box::new(Event {
        seq: 0,
        ts: Timestamp(1_795_209_600_000_000),
        gateway: "g".to_owned(),
        kind: EventKind::Start,
        by: None,
        reason: Some(note.to_owned()),
        data: serde_json::json!({}),
    }))
}

fn lines(path: &Path) -> Vec<String> {
    let mut reader = Reader::open(path).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    lines
}

fn small() -> Options {
    Options { file_bytes: 400, ..Options::default() }
}

#[test]
fn numbers_without_holes_and_is_private() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let writer = Writer::create(&dir, "g-1", &Options::default()).unwrap();
    for seq in 1..=5 {
        let done = writer.append(&mut event("x")).unwrap();
        assert_eq!(done.seq, seq);
        assert_eq!(Record::parse(&done.line).unwrap().seq(), seq);
    }
    let path = dir.join("g-1.1.jsonl");
    assert_eq!(lines(&path).len(), 5);
    assert_eq!(writer.next_seq(), 6);
    assert_eq!(writer.oldest_seq(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert!(Writer::create(&dir, "../x", &Options::default()).is_err());
}

#[test]
fn several_threads_share_one_writer() {
    let home = tempfile::tempdir().unwrap();
    let writer = Writer::create(home.path(), "g", &small()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(writer.append(&mut event("thread")).unwrap())));
        }
    });
    let mut seqs = Vec::new();
    for file in files(home.path()).unwrap() {
        seqs.extend(lines(&file.path).iter().map(|line| peek_seq(line.as_bytes()).unwrap()));
    }
    assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
}

#[test]
fn rotates_by_size_and_backfills_across_files() {
    let home = tempfile::tempdir().unwrap();
    let writer = Writer::create(home.path(), "g", &small()).unwrap();
    for n in 0..40 {
        writer.append(&mut event(&format!("note {n}"))).unwrap();
    }
    let found = files(home.path()).unwrap();
    assert!(found.len() > 10, "{}", found.len());
    assert!(found.iter().all(|file| file.len <= 400));
    let numbers: Vec<_> = found.iter().map(|file| file.name.number).collect();
    assert_eq!(numbers, (1..=found.len() as u64).collect::<Vec<_>>());
    let got = backfill(home.path(), "g", 7, 23, 1000).unwrap();
    assert_eq!(got.records.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (7..=23).collect::<Vec<_>>());
    assert_eq!(got.next, None);
    let got = backfill(home.path(), "g", 7, 23, 5).unwrap();
    assert_eq!((got.records.len(), got.next), (5, Some(12)));
    assert!(backfill(home.path(), "h", 1, 9, 5).unwrap().records.is_empty());
    assert!(backfill(&home.path().join("none"), "g", 1, 9, 5).unwrap().records.is_empty());
    // Deleted files: the oldest number moves, the rest is still there.
    fs::remove_file(&found[0].path).unwrap();
    let oldest = writer.oldest_seq();
    assert!(oldest > 1);
    let got = backfill(home.path(), "g", 1, 5, 1000).unwrap();
    assert_eq!(got.records.first().map(|(seq, _)| *seq), Some(oldest));
}

#[test]
fn a_torn_line_is_cut_off_when_the_run_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("g.1.jsonl");
    {
        let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
        writer.append(&mut event("one")).unwrap();
        writer.append(&mut event("two")).unwrap();
        let Err(error) = Writer::create(home.path(), "g", &Options::default()) else { panic!("locked") };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"type":"event","seq":3,"ts":"20"#).unwrap();
    drop(file);
    let mut reader = Reader::open(&path).unwrap();
    while reader.next_line().unwrap().is_some() {}
    assert!(reader.rest().starts_with(b"{\"type"), "a reader sees whole lines only");
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    assert_eq!(writer.append(&mut event("three")).unwrap().seq, 3);
    let found = lines(&path);
    assert_eq!(found.len(), 3);
    assert!(found[2].contains("three"));
}

#[test]
fn a_long_torn_tail_and_a_file_with_nothing_whole() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("g.1.jsonl"), "x".repeat(200_000)).unwrap();
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    assert_eq!(writer.append(&mut event(&"long ".repeat(30_000))).unwrap().seq, 1);
    drop(writer);
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    assert_eq!(writer.next_seq(), 2);
    assert_eq!(lines(&home.path().join("g.1.jsonl")).len(), 1);
    // Something that is no journal is not written over.
    fs::write(home.path().join("h.1.jsonl"), "hello\n").unwrap();
    assert!(Writer::create(home.path(), "h", &Options::default()).is_err());
}

#[test]
fn raw_values_cannot_break_a_line() {
    let home = tempfile::tempdir().unwrap();
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    let line = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"s","grant":"local","request_id":1,"method":"tools/call","tool":"t","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":null,"counters":[],"counted":true,"decide_us":1.0}"#;
    let mut record = Record::parse(line.as_bytes()).unwrap();
    if let Record::Decision(decision) = &mut record {
        decision.args = Some(serde_json::value::RawValue::from_string("{\n\"a\":\r\n1}".to_owned()).unwrap());
    }
    let done = writer.append(&mut record).unwrap();
    assert!(done.line.windows(9).any(|part| part == b"{ \"a\":  1"));
    assert_eq!(lines(&home.path().join("g.1.jsonl")).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_no_number() {
    // A file of limited size stands for a full disk: /dev/full takes no byte at all.
    let home = tempfile::tempdir().unwrap();
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    writer.append(&mut event("one")).unwrap();
    let full = Arc::new(OpenOptions::new().append(true).open("/dev/full").unwrap());
    let file = std::mem::replace(&mut writer.lock().file, full);
    let error = writer.append(&mut event("two")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    writer.lock().file = file;
    // Half a line that got through is cut off before the next one.
    writer.lock().torn = true;
    fs::OpenOptions::new()
        .append(true)
        .open(home.path().join("g.1.jsonl"))
        .unwrap()
        .write_all(b"{\"type\":\"ev")
        .unwrap();
    assert_eq!(writer.append(&mut event("three")).unwrap().seq, 2);
    let found = lines(&home.path().join("g.1.jsonl"));
    assert_eq!(found.len(), 2);
    assert!(found[1].contains("three"));
}

#[test]
fn keeps_by_size_but_never_deletes_a_live_file() {
    let home = tempfile::tempdir().unwrap();
    let live = Writer::create(home.path(), "live", &Options::default()).unwrap();
    live.append(&mut event("live")).unwrap();
    {
        let ended = Writer::create(home.path(), "ended", &small()).unwrap();
        (0..20).for_each(|n| drop(ended.append(&mut event(&format!("{n}"))).unwrap()));
    }
    let keep = Keep { dir: home.path().to_owned(), age: Duration::from_hours(1), bytes: 800 };
    keep.tidy();
    let left = files(home.path()).unwrap();
    assert!(left.iter().map(|file| file.len).sum::<u64>() <= 800);
    assert!(left.iter().any(|file| file.name.gateway == "live"));
    let keep = Keep { age: Duration::ZERO, ..keep };
    keep.tidy();
    let left = files(home.path()).unwrap();
    assert_eq!(left.len(), 1, "only the live one is left");
    assert_eq!(live.append(&mut event("still")).unwrap().seq, 2);
}

#[cfg(unix)]
#[test]
fn a_deleted_file_is_followed_by_another() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let options = Options { sync_within: Duration::from_millis(1), ..Options::default() };
    let writer = Writer::create(&dir, "g", &options).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    writer.append(&mut event("lost")).unwrap();
    // The background thread notices; every append is whole either way.
    let mut seq = 1;
    while files(&dir).unwrap().is_empty() {
        seq = writer.append(&mut event("found")).unwrap().seq;
        std::thread::yield_now();
    }
    assert_eq!(files(&dir).unwrap()[0].name.number, 2);
    let got = backfill(&dir, "g", seq, seq, 1).unwrap();
    assert_eq!(got.records.len(), 1);
    assert_eq!(writer.oldest_seq(), seq);
}

#[test]
fn everything_is_synced_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let writer = Writer::create(home.path(), "g", &Options::default()).unwrap();
    writer.append(&mut event("x")).unwrap();
    writer.sync().unwrap();
    assert_eq!(writer.sync_trouble(), None);
}
