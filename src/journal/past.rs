//! What happened so far: journals read as one from a beginning to their present end, and what they say
//! about who was under which policy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use serde::Deserialize;

use super::follow::{self, Follower, Source};
use crate::time::Timestamp;

/// Journals merged by time, with how far they were read.
#[derive(Debug)]
pub struct Past {
    follower: Follower,
    total: u64,
    done: u64,
}

impl Past {
    /// Begins at an instant, or at the beginning of everything. Only lines in which each of some
    /// expressions is found are read, without any every line.
    ///
    /// # Errors
    /// What the file system says; a folder that does not exist holds no journals.
    pub fn open(sources: &[Source], since: Option<Timestamp>, needles: &[Regex]) -> io::Result<Self> {
        let follower = Follower::open_all(sources.to_vec(), since, needles)?;
        let total = follower.size();
        Ok(Self { follower, total, done: 0 })
    }

    /// The next line by time, without its line feed; `None` at the end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let line = self.follower.next_line()?;
        if let Some(line) = line {
            self.done += line.len() as u64 + 1;
        }
        Ok(line)
    }

    /// How many bytes were read, and how many there were at the beginning. With `since` or expressions
    /// fewer are read than there are.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.min(self.total), self.total)
    }
}

/// What every line about a call of one of these tools holds, as gateways print it; `None` where they are
/// too many to be looked for.
pub fn of_tools<'t>(tools: impl Iterator<Item = &'t str>) -> Option<Regex> {
    let one = |tool| {
        let mut needle = String::from("\"tool\":");
        crate::json::canonical::quote(tool, &mut needle);
        regex::escape(&needle)
    };
    Regex::new(&tools.map(one).collect::<Vec<_>>().join("|")).ok()
}

/// Who was under a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Governed {
    /// The policy's path, as the gateway had it.
    pub path: PathBuf,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
}

/// What journals say about servers and policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Governance {
    /// Who was ever under which policy file.
    pub governed: BTreeSet<Governed>,
    /// Every server, with its grants.
    pub servers: BTreeMap<String, BTreeSet<String>>,
}

/// Reads who was under which policy: quick, because only events about policies are looked at.
///
/// # Errors
/// What the file system says.
pub fn governance(sources: &[Source]) -> io::Result<Governance> {
    #[derive(Deserialize)]
    struct Event {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        path: Option<PathBuf>,
        server: String,
        grant: String,
    }
    let mut found = Governance::default();
    let needles = [Regex::new(r#""kind":"policy""#).map_err(io::Error::other)?];
    let mut follower = Follower::open_all(sources.to_vec(), None, &needles)?;
    while let Some(line) = follower.next_line()? {
        let Ok(Event { data: Data { path, server, grant } }) = serde_json::from_slice(line) else { continue };
        found.servers.entry(server.clone()).or_default().insert(grant.clone());
        if let Some(path) = path {
            found.governed.insert(Governed { path, server, grant });
        }
    }
    Ok(found)
}

/// Those of these servers that were ever called. A gateway says which policy a server is under before
/// the server runs, so that one which never ran is among [`Governance::servers`], too.
///
/// # Errors
/// What the file system says.
pub fn called(sources: &[Source], mut among: BTreeSet<String>) -> io::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Call {
        server: String,
    }
    let mut called = BTreeSet::new();
    let mut past = Past::open(sources, None, &follow::decisions())?;
    // Whoever is found early is looked for no longer: mostly a few lines tell.
    while !among.is_empty()
        && let Some(line) = past.next_line()?
    {
        let Ok(Call { server }) = serde_json::from_slice(line) else { continue };
        if among.remove(&server) {
            called.insert(server);
        }
    }
    Ok(called)
}

impl Governance {
    /// The servers and grants that were under a policy file, however its path is written.
    pub fn under(&self, policy: &Path) -> Vec<(String, String)> {
        let real = |path: &Path| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
        };
        let policy = real(policy);
        let mut same: BTreeMap<&Path, bool> = BTreeMap::new();
        self.governed
            .iter()
            .filter(|one| *same.entry(&one.path).or_insert_with(|| real(&one.path) == policy))
            .map(|one| (one.server.clone(), one.grant.clone()))
            .collect()
    }
}

/// The text of the policy with this revision, where a gateway has kept it in this folder.
pub fn policy_text(folder: &Path, revision: &str) -> Option<String> {
    // A revision comes from a journal: nothing but its digits may become part of a path.
    if revision.len() < 12 || !revision.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let entries = std::fs::read_dir(folder).ok()?;
    let name = entries.flatten().map(|entry| entry.file_name()).find(|name| {
        let name = name.to_string_lossy();
        name.starts_with(revision) && name.ends_with(".json")
    })?;
    std::fs::read_to_string(folder.join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_was_under_which_policy() {
        let folder = tempfile::tempdir().unwrap();
        let event = |seq: u64, path: &str, server: &str, grant: &str| {
            format!(
                "{{\"type\":\"event\",\"seq\":{seq},\"ts\":\"2026-11-20T21:20:00.000000Z\",\"gateway\":\"g\",\
                 \"kind\":\"policy\",\"data\":{{\"path\":\"{path}\",\"revision\":\"r\",\"server\":\"{server}\",\"grant\":\"{grant}\"}}}}\n"
            )
        };
        let one = folder.path().join("a.1.jsonl");
        let two = folder.path().join("b.1.jsonl");
        std::fs::write(&one, event(1, "/p/one.json", "docker", "local") + "{}\n").unwrap();
        std::fs::write(&two, event(1, "/p/two.json", "docker", "ci") + &event(2, "/p/one.json", "pay", "ci"))
            .unwrap();
        let of_ci = Regex::new(r#""grant":"ci""#).unwrap();
        for sources in [
            vec![Source::at(folder.path())],
            vec![Source::File(one.clone()), Source::File(two), Source::File(one)],
        ] {
            let found = governance(&sources).unwrap();
            let pair = |server: &str, grant: &str| (server.to_owned(), grant.to_owned());
            assert_eq!(found.under(Path::new("/p/one.json")), [pair("docker", "local"), pair("pay", "ci")]);
            assert_eq!(found.under(Path::new("/p/none.json")), []);
            assert_eq!(found.servers.len(), 2);
            let mut past = Past::open(&sources, None, &[]).unwrap();
            let mut lines = 0;
            while past.next_line().unwrap().is_some() {
                lines += 1;
            }
            let (done, total) = past.progress();
            assert_eq!((lines, done), (4, total));
            let mut past = Past::open(&sources, None, std::slice::from_ref(&of_ci)).unwrap();
            assert!(past.next_line().unwrap().is_some() && past.next_line().unwrap().is_some());
            assert!(past.next_line().unwrap().is_none(), "lines without what is asked for are passed over");
        }
    }

    #[test]
    fn a_tools_lines_are_found_however_it_is_called() {
        let names = ["a.b", "say \"hi\"", "tab\there", "é\u{202e}", "x|y"];
        let all = of_tools(names.into_iter()).unwrap();
        for name in names {
            let line = serde_json::json!({"type": "decision", "tool": name}).to_string();
            assert!(all.is_match(line.as_bytes()), "{line}");
            assert!(of_tools(std::iter::once(name)).unwrap().is_match(line.as_bytes()), "{line}");
        }
        for other in ["axb", "x", "y", ""] {
            assert!(!all.is_match(serde_json::json!({"tool": other}).to_string().as_bytes()), "{other}");
        }
    }

    #[test]
    fn finds_a_kept_text_by_its_revision() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "0123456789abcdef".repeat(4);
        std::fs::write(folder.path().join(format!("{digest}.json")), "{}").unwrap();
        assert_eq!(policy_text(folder.path(), "0123456789ab").as_deref(), Some("{}"));
        for other in ["0123456789ac", "", "../0123456789", "01234"] {
            assert_eq!(policy_text(folder.path(), other), None, "{other}");
        }
    }
}
