//! The terminal: what is switched on is undone exactly, whatever ends the program; and the cells
//! that are on it.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::app::App;
use crate::tui::theme::Depth;
use crate::tui::view::{self, Drawn};

const RAW: u8 = 1;
const SCREEN: u8 = 2;
const PASTE: u8 = 4;
const MOUSE: u8 = 8;

/// What is switched on now. The panic hook reads it, so it cannot live in the guard.
static ON: AtomicU8 = AtomicU8::new(0);

// Presses and the wheel only, in SGR coordinates: crossterm's own command also reports every motion.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// Holds the terminal; dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Guard {
    mouse: bool,
}

impl Guard {
    /// Takes the terminal over.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        hook();
        let guard = Self { mouse };
        guard.switch_on()?;
        Ok(guard)
    }

    fn switch_on(&self) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        ON.fetch_or(RAW, Ordering::SeqCst);
        let mut out = io::stdout();
        execute!(out, terminal::EnterAlternateScreen)?;
        ON.fetch_or(SCREEN, Ordering::SeqCst);
        execute!(out, EnableBracketedPaste)?;
        ON.fetch_or(PASTE, Ordering::SeqCst);
        if self.mouse {
            mouse(true)?;
        }
        execute!(out, cursor::Hide)
    }

    /// Switches the mouse on or off.
    pub(super) fn mouse(&mut self, on: bool) {
        self.mouse = on;
        let _ = mouse(on);
    }

    /// Gives the terminal back for a while.
    pub(super) fn leave() {
        restore();
    }

    /// Takes the terminal over again.
    pub(super) fn back(&self) -> io::Result<()> {
        self.switch_on()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

fn mouse(on: bool) -> io::Result<()> {
    let mut out = io::stdout();
    if on {
        out.write_all(MOUSE_ON)?;
        ON.fetch_or(MOUSE, Ordering::SeqCst);
    } else if ON.fetch_and(!MOUSE, Ordering::SeqCst) & MOUSE != 0 {
        out.write_all(MOUSE_OFF)?;
    }
    out.flush()
}

/// Undoes what is on, in reverse. Total: it runs while panicking too.
fn restore() {
    let on = ON.swap(0, Ordering::SeqCst);
    let mut out = io::stdout();
    if on & MOUSE != 0 {
        let _ = out.write_all(MOUSE_OFF);
    }
    if on & PASTE != 0 {
        let _ = execute!(out, DisableBracketedPaste);
    }
    if on & SCREEN != 0 {
        let _ = execute!(out, EndSynchronizedUpdate, cursor::Show, terminal::LeaveAlternateScreen);
    }
    if on & RAW != 0 {
        let _ = terminal::disable_raw_mode();
    }
    let _ = out.flush();
}

/// Installs the panic hook once: ratatui's own leaves the mouse and bracketed paste on.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let held = ON.load(Ordering::SeqCst) != 0;
            restore();
            before(info);
            if held {
                let mut err = io::stderr();
                let _ = writeln!(err, "callgate stopped because of a fault in itself; unsaved edits are kept and offered at the next start");
                // Another thread's panic must not leave a program without a screen behind.
                std::process::exit(101);
            }
        }));
    });
}

/// The cells that are on the terminal, and the next ones.
///
/// Own buffers instead of `ratatui::Terminal`: its `clear()`, also on a resize, asks the terminal
/// where the cursor is and can stall for two seconds.
#[derive(Debug)]
pub struct Canvas<W: Write = BufWriter<Stdout>> {
    backend: CrosstermBackend<W>,
    shown: Buffer,
    next: Buffer,
    fresh: bool,
}

impl Canvas {
    /// An empty canvas on standard output.
    pub(super) fn new(depth: Depth) -> Self {
        crossterm::style::force_color_output(depth != Depth::None);
        Self::on(BufWriter::with_capacity(64 * 1024, io::stdout()))
    }
}

impl<W: Write> Canvas<W> {
    /// An empty canvas on a terminal's other end.
    pub fn on(out: W) -> Self {
        let none = Buffer::empty(Rect::ZERO);
        Self { backend: CrosstermBackend::new(out), shown: none.clone(), next: none, fresh: true }
    }

    /// Forgets what is on the terminal: the next frame draws every cell.
    pub(super) fn forget(&mut self) {
        self.fresh = true;
    }

    /// Draws the state, writing only the cells that changed.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn draw(&mut self, app: &App) -> io::Result<Drawn> {
        let area = Rect::new(0, 0, app.size.0, app.size.1);
        if self.shown.area != area {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
            self.fresh = true;
        }
        self.next.reset();
        let drawn = view::draw(app, &mut self.next);
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if std::mem::take(&mut self.fresh) {
            self.backend.clear_region(ClearType::All)?;
            self.shown.reset();
        }
        let changed = self.shown.diff(&self.next);
        if !changed.is_empty() {
            // A blinking cursor must not run over the screen while it is drawn.
            queue!(self.backend, cursor::Hide)?;
            self.backend.draw(changed.into_iter())?;
        }
        match drawn.cursor {
            Some(at) => queue!(self.backend, cursor::MoveTo(at.x, at.y), cursor::Show)?,
            None => queue!(self.backend, cursor::Hide)?,
        }
        queue!(self.backend, EndSynchronizedUpdate)?;
        io::Write::flush(&mut self.backend)?;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(drawn)
    }
}
