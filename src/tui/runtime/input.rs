//! The keyboard and the mouse: one thread that reads the terminal and hands on what it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use tokio::sync::mpsc;

use crate::tui::app::{Mouse, Msg};
use crate::tui::key::{Code, Key};

/// How long the thread waits for input before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The thread that reads the terminal.
#[derive(Debug)]
pub(super) struct Input {
    parked: Arc<AtomicBool>,
    reading: Arc<std::sync::Mutex<()>>,
}

impl Input {
    /// Starts it.
    pub(super) fn start(out: mpsc::Sender<Msg>) -> Self {
        let parked = Arc::new(AtomicBool::new(false));
        let reading = Arc::new(std::sync::Mutex::new(()));
        let (flag, lock) = (Arc::clone(&parked), Arc::clone(&reading));
        let run = move || {
            loop {
                if flag.load(Ordering::SeqCst) {
                    std::thread::sleep(LOOK / 4);
                    continue;
                }
                // Held only while reading: the channel may be full, and its reader waiting here.
                let held = lock.lock();
                let event = match event::poll(LOOK) {
                    Ok(true) => event::read(),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                };
                drop(held);
                let Ok(event) = event else {
                    // The terminal is gone.
                    let _ = out.blocking_send(Msg::Terminate);
                    return;
                };
                if let Some(msg) = message(event)
                    && out.blocking_send(msg).is_err()
                {
                    return;
                }
            }
        };
        // Without the thread nothing can be typed, and the first wait for input ends the program.
        let _ = std::thread::Builder::new().name("input".to_owned()).spawn(run);
        Self { parked, reading }
    }

    /// Lets another program read the terminal while `work` runs.
    pub(super) fn pause<T>(&self, work: impl FnOnce() -> T) -> T {
        self.parked.store(true, Ordering::SeqCst);
        let held = self.reading.lock();
        let done = work();
        drop(held);
        self.parked.store(false, Ordering::SeqCst);
        done
    }
}

fn message(event: Event) -> Option<Msg> {
    #[cfg(debug_assertions)]
    panic_in_tests(&event);
    match event {
        Event::Key(event) => key(event).map(Msg::Key),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(width, height) => Some(Msg::Resize(width, height)),
        Event::Mouse(event) => {
            let (x, y) = (event.column, event.row);
            match event.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Msg::Mouse(Mouse::Click { x, y })),
                MouseEventKind::ScrollUp => Some(Msg::Mouse(Mouse::Wheel { x, y, steps: -3 })),
                MouseEventKind::ScrollDown => Some(Msg::Mouse(Mouse::Wheel { x, y, steps: 3 })),
                _ => None,
            }
        }
        Event::FocusGained | Event::FocusLost => None,
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let has = |modifier| event.modifiers.contains(modifier);
    let (ctrl, alt, mut shift) =
        (has(KeyModifiers::CONTROL), has(KeyModifiers::ALT), has(KeyModifiers::SHIFT));
    let code = match event.code {
        KeyCode::Char(c) => {
            // The terminal sends the shifted character itself.
            shift = shift && c.is_lowercase();
            Code::Char(c)
        }
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => {
            shift = true;
            Code::Tab
        }
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Insert => Code::Insert,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(number) => Code::F(number),
        _ => return None,
    };
    Some(Key::new(code, ctrl, alt, shift))
}

/// Shows in tests that the terminal is given back when any thread panics.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is what it is for; not in release builds")]
fn panic_in_tests(event: &Event) {
    if std::env::var_os("CALLGATE_TEST_PANIC").is_some()
        && matches!(event, Event::Key(KeyEvent { code: KeyCode::F(12 | 24), .. }))
    {
        panic!("asked for by a test");
    }
}
