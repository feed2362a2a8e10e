//! The background thread of a writer: brings what was written to the disk soon, and deletes what
//! need not be kept. Asleep while nothing is written.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::keep::Keep;

/// How often an idle gateway looks for files that need not be kept any more.
const KEEP_EVERY: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    dirty: AtomicBool,
    closing: AtomicBool,
    gone: AtomicBool,
    tidy: AtomicBool,
    files: Mutex<Files>,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Files {
    current: Arc<File>,
    /// Rotated away, with bytes that may not be on the disk yet.
    earlier: Vec<Arc<File>>,
    /// A file was created since the folder was last synced.
    created: bool,
}

impl Syncer {
    pub(super) fn start(file: Arc<File>, keep: Keep, within: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            dirty: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            tidy: AtomicBool::new(true),
            files: Mutex::new(Files { current: file, earlier: Vec::new(), created: true }),
            trouble: Mutex::new(None),
        });
        let its = shared.clone();
        let thread =
            thread::Builder::new().name("journal".to_owned()).spawn(move || run(&its, &keep, within))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A line was written: costs two atomic operations, and a wake only when the thread sleeps.
    pub(super) fn written(&self) {
        if !self.shared.dirty.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Another file is written from now on.
    pub(super) fn rotated(&self, file: Arc<File>) {
        let mut files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut files.current, file);
        files.earlier.push(before);
        files.created = true;
        drop(files);
        self.shared.gone.store(false, Ordering::Release);
        self.shared.tidy.store(true, Ordering::Release);
    }

    /// Whether somebody deleted the file that is written.
    pub(super) fn is_file_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, keep: &Keep, within: Duration) {
    // Some time is left for the sync itself.
    let pause = within * 3 / 4;
    let mut next_keep = Instant::now() + KEEP_EVERY;
    loop {
        if shared.tidy.swap(false, Ordering::AcqRel) || Instant::now() >= next_keep {
            keep.tidy();
            next_keep = Instant::now() + KEEP_EVERY;
        }
        let closing = shared.closing.load(Ordering::Acquire);
        if shared.dirty.load(Ordering::Acquire) {
            if !closing {
                sleep(shared, pause);
            }
            shared.dirty.store(false, Ordering::Release);
            sync(shared, keep);
        } else if closing {
            return;
        } else {
            thread::park_timeout(next_keep.saturating_duration_since(Instant::now()));
        }
    }
}

/// Sleeps, but not through the end.
fn sleep(shared: &Shared, pause: Duration) {
    let end = Instant::now() + pause;
    while !shared.closing.load(Ordering::Acquire) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

fn sync(shared: &Shared, keep: &Keep) {
    let (current, earlier, created) = {
        let mut files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        (files.current.clone(), std::mem::take(&mut files.earlier), std::mem::take(&mut files.created))
    };
    let mut result = earlier.iter().try_for_each(|file| file.sync_data()).and_then(|()| current.sync_data());
    if created && result.is_ok() {
        result = keep.sync_dir();
    }
    // The rotated files are closed here, off the way of a call.
    drop(earlier);
    if is_unlinked(&current) {
        shared.gone.store(true, Ordering::Release);
    }
    *shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
        result.err().map(|error| error.to_string());
}

#[cfg(unix)]
fn is_unlinked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|meta| meta.nlink() == 0)
}

#[cfg(not(unix))]
fn is_unlinked(_file: &File) -> bool {
    // Windows does not let an open file be deleted.
    false
}
