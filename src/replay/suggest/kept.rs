//! The calls that were learnt from, kept so that what is suggested can be tried on them without
//! reading the journals again.
//!
//! Journals hold much that a trial does not ask for, and grow while they are read. What is kept is who
//! called what with which arguments, those that came before by a number, in a store outside of memory
//! where there is one.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Used;
use crate::policy::counter::{Caller, OwnedCaller};
use crate::time::Timestamp;

/// So much is written, and read, at once.
const CHUNK: usize = 128 * 1024;

/// Where calls are kept.
pub trait Store: Read + Write + Seek {}

impl<S: Read + Write + Seek> Store for S {}

/// The caller is that of the call before.
const SAME_CALLER: u8 = 1;
const HAS_SESSION: u8 = 2;
/// The arguments have a number, and are not spelt out.
const NUMBERED: u8 = 4;
const HAS_ARGUMENTS: u8 = 8;

/// Calls in a store.
pub(super) struct Kept<'s> {
    store: &'s mut dyn Store,
    /// What is not in the store yet.
    out: Vec<u8>,
    last: Option<OwnedCaller>,
    /// Why nothing more is kept.
    failed: Option<io::Error>,
}

impl<'s> Kept<'s> {
    pub(super) fn new(store: &'s mut dyn Store) -> Self {
        Self { store, out: Vec::with_capacity(CHUNK), last: None, failed: None }
    }

    /// Keeps a call. `number` stands for its arguments where they came before.
    pub(super) fn put(&mut self, used: &Used<'_>, number: Option<u32>) {
        let Caller { server, grant, session } = used.caller;
        let same = self.last.as_ref().is_some_and(|last| last.get() == used.caller);
        let mut flags = 0;
        for (flag, set) in [
            (SAME_CALLER, same),
            (HAS_SESSION, session.is_some()),
            (NUMBERED, number.is_some()),
            (HAS_ARGUMENTS, used.args.is_some()),
        ] {
            flags |= if set { flag } else { 0 };
        }
        self.out.push(flags);
        self.out.extend_from_slice(&used.ts.0.to_le_bytes());
        if !same {
            self.text(server);
            self.text(grant);
            self.text(session.unwrap_or_default());
            self.last = Some(used.caller.into());
        }
        self.text(used.tool);
        match (number, used.args) {
            (Some(number), _) => self.out.extend_from_slice(&number.to_le_bytes()),
            (None, Some(args)) => self.text(args),
            (None, None) => {}
        }
        if self.out.len() >= CHUNK {
            self.flush();
        }
    }

    fn text(&mut self, text: &str) {
        // A line of a journal is never as long as this counts.
        self.out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.store.write_all(&self.out).err();
        }
        self.out.clear();
    }

    /// Hands over every call as it was put. `texts` gives the arguments of a number.
    ///
    /// # Errors
    /// What the store says, now or when a call was put.
    pub(super) fn each<'t>(
        &mut self,
        texts: &dyn Fn(u32) -> Option<&'t str>,
        each: &mut dyn FnMut(&Used<'_>, Option<u32>),
    ) -> io::Result<()> {
        self.flush();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.store.seek(SeekFrom::Start(0))?;
        let mut part = Part { bytes: vec![0; 2 * CHUNK], at: 0, end: 0 };
        let mut caller = OwnedCaller::default();
        loop {
            let begin = part.at;
            if part.call(&mut caller, texts, each).is_none() {
                // It is not whole yet.
                part.at = begin;
                if part.fill(self.store)? == 0 {
                    break;
                }
            }
        }
        self.store.seek(SeekFrom::End(0))?;
        if part.at == part.end { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// A part of a store.
struct Part {
    bytes: Vec<u8>,
    at: usize,
    end: usize,
}

impl Part {
    /// Reads on; how many bytes there were.
    fn fill(&mut self, store: &mut dyn Store) -> io::Result<usize> {
        self.bytes.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        if self.bytes.len() - self.end < CHUNK {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        loop {
            match store.read(self.bytes.get_mut(self.end..).unwrap_or_default()) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the next call; `None` where it is not whole.
    fn call<'t>(
        &mut self,
        caller: &mut OwnedCaller,
        texts: &dyn Fn(u32) -> Option<&'t str>,
        each: &mut dyn FnMut(&Used<'_>, Option<u32>),
    ) -> Option<()> {
        let mut rest = self.bytes.get(self.at..self.end)?;
        let from = rest.len();
        let [flags] = *chunk(&mut rest)?;
        let ts = Timestamp(i64::from_le_bytes(*chunk(&mut rest)?));
        let is = |flag| flags & flag != 0;
        let anew =
            if is(SAME_CALLER) { None } else { Some((text(&mut rest)?, text(&mut rest)?, text(&mut rest)?)) };
        let tool = text(&mut rest)?;
        let (number, args) = if is(NUMBERED) {
            let number = u32::from_le_bytes(*chunk(&mut rest)?);
            (Some(number), texts(number))
        } else {
            (None, if is(HAS_ARGUMENTS) { Some(text(&mut rest)?) } else { None })
        };
        if let Some((server, grant, session)) = anew {
            *caller = Caller { server, grant, session: is(HAS_SESSION).then_some(session) }.into();
        }
        let caller = caller.get();
        each(&Used { ts, caller, tool, args }, number);
        self.at += from - rest.len();
        Some(())
    }
}

fn chunk<'b, const N: usize>(rest: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(chunk)
}

fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let len = usize::try_from(u32::from_le_bytes(*chunk(rest)?)).ok()?;
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    type Call = (i64, (String, String, Option<String>), String, Option<String>, Option<u32>);

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let caller = ("[ab]?", "[ab]", prop::option::of("[ab]?"));
        let args = prop_oneof![
            Just(None),
            "[a-zé]{0,9}".prop_map(Some),
            (1_usize..3).prop_map(|times| Some("x".repeat(times * CHUNK))),
        ];
        let number = prop::option::of(0_u32..3);
        prop::collection::vec((any::<i64>(), caller, "[a-z]{0,3}", args, number), 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn gives_back_what_was_put_as_often_as_it_is_asked(calls in calls()) {
            let numbered = ["{}", "{\"a\":1}", "[]"];
            let texts = |number: u32| numbered.get(number as usize).copied();
            let mut store = Cursor::new(Vec::new());
            let mut kept = Kept::new(&mut store);
            let mut put = Vec::new();
            for (ts, (server, grant, session), tool, args, number) in &calls {
                let caller = Caller { server, grant, session: session.as_deref() };
                let args = number.map_or(args.as_deref(), texts);
                let used = Used { ts: Timestamp(*ts), caller, tool, args };
                put.push(format!("{used:?} {number:?}"));
                kept.put(&used, *number);
            }
            for _ in 0..2 {
                let mut got = Vec::new();
                kept.each(&texts, &mut |used, number| got.push(format!("{used:?} {number:?}"))).unwrap();
                prop_assert_eq!(&got, &put);
            }
        }
    }

    #[test]
    fn a_store_that_fails_is_an_error_and_so_is_one_that_was_cut() {
        let mut full = Cursor::new([0_u8; 4]);
        let mut store: Box<dyn Store> = Box::new(&mut full);
        let mut kept = Kept::new(&mut store);
        let caller = Caller { server: "s", grant: "g", session: None };
        kept.put(&Used { ts: Timestamp(1), caller, tool: "t", args: None }, None);
        assert!(kept.each(&|_| None, &mut |_, _| ()).is_err());
        let mut store = Cursor::new(vec![0, 1, 2]);
        assert!(Kept::new(&mut store).each(&|_| None, &mut |_, _| ()).is_err());
    }
}
