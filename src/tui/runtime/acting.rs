//! What is done about rows outside of the state: records looked up in the journal, files written.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::export;
use crate::export::report::{Frame, Report};
use crate::filter::{Filter, View};
use crate::journal::find::find;
use crate::journal::follow::{Follower, Source};
use crate::journal::read::files;
use crate::paths::{Existing, write_whole};
use crate::record::line::Line;
use crate::replay::cases::{self, Pinned};
use crate::tui::app::acting::export::{Export, Outcome, What};

/// A record's line as the journal has it, or what is known of it otherwise; and whether it is the
/// journal's.
pub(super) fn record(journal: &Path, gateway: &str, seq: u64, otherwise: String) -> (String, bool) {
    match find(journal, gateway, seq) {
        Ok(Some(found)) => (String::from_utf8_lossy(&found.line).into_owned(), true),
        Ok(None) | Err(_) => (otherwise, false),
    }
}

/// Where a record stands.
pub(super) fn link(journal: &Path, gateway: &str, seq: u64) -> String {
    match find(journal, gateway, seq) {
        Ok(Some(found)) => format!("{}:{}", found.path.display(), found.number),
        Ok(None) | Err(_) => format!("{gateway}:{seq}"),
    }
}

/// Puts a test into the file beside a policy: all of it or nothing of it.
pub(super) fn pin(policy: &Path, pinned: &Pinned) -> (PathBuf, Result<String, String>) {
    let file = super::learn::beside(policy);
    let old = match std::fs::read_to_string(&file) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return (file, Err(error.to_string())),
    };
    let done = cases::add(old.as_deref(), pinned).map_err(|why| why.to_string()).and_then(|new| {
        write_whole(&file, new.as_bytes(), Existing::Replace).map_err(|error| error.to_string())?;
        // A name that was taken has got a number.
        let last = cases::read(&new).cases.and_then(|cases| cases.tests.last().map(|test| test.name.clone()));
        Ok(last.unwrap_or_else(|| pinned.name.clone()))
    });
    (file, done)
}

/// Writes an export's file.
pub(super) fn export(journal: &Path, export: &Export) -> Outcome {
    match written(journal, export) {
        Ok(records) => {
            let here = files(journal).unwrap_or_default();
            let has = |run: &String| here.iter().any(|file| file.name.gateway == *run);
            let elsewhere = export.attached.iter().filter(|run| !has(run)).cloned().collect();
            Outcome::Done { records, elsewhere }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Outcome::Exists,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Writes beside the file and puts it into its place at the end: what fails leaves nothing.
fn written(journal: &Path, export: &Export) -> io::Result<u64> {
    let path = &export.path;
    if !export.replace && path.symlink_metadata().is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only the user can read it: arguments of calls are in it.
    let mut beside = tempfile_in(folder, path)?;
    let done = fill(journal, export, &mut beside.1).and_then(|records| {
        beside.1.sync_all()?;
        if export.replace {
            std::fs::rename(&beside.0, path)?;
        } else {
            std::fs::hard_link(&beside.0, path)?;
        }
        Ok(records)
    });
    if done.is_err() || !export.replace {
        let _ = std::fs::remove_file(&beside.0);
    }
    done
}

fn tempfile_in(folder: &Path, path: &Path) -> io::Result<(PathBuf, std::fs::File)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let beside = folder.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(&beside)?;
    Ok((beside, file))
}

fn fill(journal: &Path, export: &Export, file: &mut std::fs::File) -> io::Result<u64> {
    let filter = match export.filter.as_str() {
        "" => None,
        text => Some(Filter::parse(text, export.now).map_err(io::Error::other)?),
    };
    // A report tells what is lost, which shows only between all lines.
    let needles = match (&filter, export.what) {
        (Some(filter), What::Jsonl | What::Csv) => filter.needles(),
        _ => Vec::new(),
    };
    let source = Source::Folder(journal.to_owned());
    let mut follower = Follower::open_for(source, export.since, &needles)?;
    let mut report = Report::new(filter.is_some());
    let mut out = BufWriter::with_capacity(256 * 1024, file);
    let mut row = Vec::new();
    let mut records = 0_u64;
    if export.what == What::Csv {
        export::Format::Csv.begin(&mut row);
    }
    while let Some(bytes) = follower.next_line()? {
        let read = Line::parse(bytes);
        let Ok(line) = &read else {
            report.torn("");
            continue;
        };
        let wanted = filter
            .as_ref()
            .is_none_or(|filter| View::of_line(line).is_some_and(|view| filter.matches(&view)));
        records += u64::from(wanted);
        match export.what {
            What::Report => report.see(line, wanted),
            What::Jsonl if wanted => {
                row.extend_from_slice(bytes);
                row.push(b'\n');
            }
            What::Csv if wanted => export::Format::Csv.line(line, &mut row),
            What::Jsonl | What::Csv => {}
        }
        out.write_all(&row)?;
        row.clear();
    }
    if export.what == What::Report {
        for run in follower.torn() {
            report.torn(&run);
        }
        let frame = Frame { filter: &export.filter, made: export.now, by: &export.by };
        row.extend_from_slice(report.markdown(&frame).as_bytes());
    }
    out.write_all(&row)?;
    out.flush()?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const DENY: &str = r#"{"type":"decision","seq":1,"ts":"2026-11-20T21:20:00.000001Z","gateway":"a","server":"git","grant":"local","request_id":1,"method":"tools/call","tool":"push","decision":"deny","enforced":true,"rule":"/tools/push/action","pointer":null,"message":"no","policy":null,"args":{},"counters":[],"counted":false,"decide_us":1.5}"#;

    #[test]
    fn what_matches_is_written_and_no_file_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        std::fs::create_dir(&journal).unwrap();
        let allow = DENY.replace("\"deny\"", "\"allow\"").replace("\"seq\":1,", "\"seq\":2,");
        std::fs::write(journal.join("a.1.jsonl"), format!("{DENY}\n{allow}\n")).unwrap();
        let path = folder.path().join("out.jsonl");
        let wanted = |what, filter: &str, replace| Export {
            path: path.clone(),
            what,
            filter: filter.to_owned(),
            since: None,
            now: Timestamp(1_795_213_200_000_000),
            by: "kim".to_owned(),
            replace,
            attached: vec!["a".to_owned(), "far".to_owned()],
        };
        let done = |records| Outcome::Done { records, elsewhere: vec!["far".to_owned()] };
        let text = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(export(&journal, &wanted(What::Jsonl, "decision:deny", false)), done(1));
        assert_eq!(text(), format!("{DENY}\n"));
        assert_eq!(export(&journal, &wanted(What::Csv, "", false)), Outcome::Exists);
        assert_eq!(text(), format!("{DENY}\n"), "nothing is written over");
        assert_eq!(export(&journal, &wanted(What::Csv, "", true)), done(2));
        assert_eq!(text().split("\r\n").count(), 4);
        assert_eq!(export(&journal, &wanted(What::Report, "tool:push", true)), done(2));
        assert!(text().starts_with("# Incident report") && text().contains("by `kim`"));
        assert!(matches!(export(&journal, &wanted(What::Csv, "tol:x", true)), Outcome::Failed(_)));
        assert!(text().starts_with("# Incident report"), "what fails leaves the file as it was");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "and nothing beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(link(&journal, "a", 2), format!("{}:2", journal.join("a.1.jsonl").display()));
        assert_eq!(link(&journal, "far", 2), "far:2");
        let policy = folder.path().join("policy.json");
        let Ok(crate::record::Record::Decision(denied)) = crate::record::Record::parse(DENY.as_bytes())
        else {
            panic!("a decision")
        };
        let pinned = cases::pin(&denied).unwrap();
        let (file, first) = pin(&policy, &pinned);
        let (_, second) = pin(&policy, &pinned);
        assert_eq!(file, folder.path().join("policy.test.json"));
        assert_eq!(second.unwrap(), format!("{} (2)", first.unwrap()), "a name is unique in its file");
        assert_eq!(cases::read(&std::fs::read_to_string(&file).unwrap()).cases.unwrap().tests.len(), 2);
        std::fs::write(&file, "{").unwrap();
        assert!(pin(&policy, &pinned).1.is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{", "what cannot be read is left alone");
        assert_eq!(record(&journal, "a", 1, String::new()), (DENY.to_owned(), true));
        assert_eq!(record(&journal, "far", 1, "{}".to_owned()), ("{}".to_owned(), false));
    }
}
