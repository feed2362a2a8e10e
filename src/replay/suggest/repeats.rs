//! Arguments that come again and again, as agents poll: counted, and looked at again only when something
//! new comes to their tool.

use std::sync::Arc;

/// So many are told apart, and so many bytes of them kept.
const MOST: usize = 32 * 1024;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Longer ones are not kept.
const LONGEST: usize = 4 * 1024;

/// The arguments that have numbers.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// With how often each came since it was last taken.
    texts: Vec<(Arc<str>, u64)>,
    bytes: usize,
}

impl Repeats {
    /// Without room.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self { texts: Vec::new(), bytes: MOST_BYTES + 1 }
    }

    /// A number for arguments that came for the first time; `None` where there is no room.
    pub(super) fn number(&mut self, args: &str) -> Option<(u32, Arc<str>)> {
        let room = self.texts.len() < MOST && self.bytes + args.len() <= MOST_BYTES;
        if !room || args.len() > LONGEST {
            return None;
        }
        let number = u32::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = Arc::from(args);
        self.bytes += args.len();
        self.texts.push((Arc::clone(&text), 0));
        Some((number, text))
    }

    /// Counts arguments that came again; whether that is the first time since they were taken.
    pub(super) fn again(&mut self, number: u32) -> bool {
        let Some((_, times)) = self.texts.get_mut(number as usize) else { return false };
        *times += 1;
        *times == 1
    }

    /// Arguments with how often they came again.
    pub(super) fn take(&mut self, number: u32) -> Option<(Arc<str>, u64)> {
        let (text, times) = self.texts.get_mut(number as usize)?;
        Some((Arc::clone(text), std::mem::take(times)))
    }

    /// The arguments of a number.
    pub(super) fn text(&self, number: u32) -> Option<&Arc<str>> {
        self.texts.get(number as usize).map(|(text, _)| text)
    }
}
