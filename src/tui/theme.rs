//! Colours by meaning, at four depths, and the glyph sets.
//!
//! Widgets name roles, never colours. At depth `None` every colour is [`Color::Reset`] and only
//! modifiers speak: with `NO_COLOR` crossterm turns each colour command into one that also wipes
//! bold and reverse, so no colour may reach it.

use ratatui::style::{Color, Modifier, Style};
use serde_json::Value;

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important text.
    Muted,
    /// Lines and fillers.
    Faint,
    /// Text to look at first.
    Strong,
    /// The product's own colour: titles, the current tab, the cursor's row mark.
    Accent,
    /// The line around what has the focus.
    Focus,
    /// The selected row where the focus is.
    Selection,
    /// The selected row elsewhere.
    SelectionFar,
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
    /// Hidden.
    Hide,
    /// By approval.
    Approve,
    /// Read.
    Low,
    /// Write.
    Medium,
    /// Execute.
    High,
    /// Destructive, financial.
    Critical,
    /// Done, healthy.
    Good,
    /// Look here.
    Warn,
    /// Wrong, failed.
    Bad,
    /// A freeze's banner.
    Banner,
    /// The bar at the top.
    Bar,
    /// A key's name.
    Key,
    /// The matched characters of a search.
    Match,
    /// A line that is added.
    Added,
    /// A line that is taken away.
    Removed,
    /// A visible mark in place of a hostile character.
    Mark,
    /// What lies behind a dialog.
    Behind,
    /// The name of a member in JSON.
    JsonKey,
    /// A string in JSON.
    JsonText,
    /// A number or a word in JSON.
    JsonNumber,
}

impl Role {
    /// Every role with its name in a theme file.
    pub const ALL: [(Self, &'static str); 30] = [
        (Self::Text, "text"),
        (Self::Muted, "muted"),
        (Self::Faint, "faint"),
        (Self::Strong, "strong"),
        (Self::Accent, "accent"),
        (Self::Focus, "focus"),
        (Self::Selection, "selection"),
        (Self::SelectionFar, "selection_far"),
        (Self::Allow, "allow"),
        (Self::Deny, "deny"),
        (Self::Hide, "hide"),
        (Self::Approve, "approve"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::Critical, "critical"),
        (Self::Good, "good"),
        (Self::Warn, "warn"),
        (Self::Bad, "bad"),
        (Self::Banner, "banner"),
        (Self::Bar, "bar"),
        (Self::Key, "key"),
        (Self::Match, "match"),
        (Self::Added, "added"),
        (Self::Removed, "removed"),
        (Self::Mark, "mark"),
        (Self::Behind, "behind"),
        (Self::JsonKey, "json_key"),
        (Self::JsonText, "json_text"),
        (Self::JsonNumber, "json_number"),
    ];

    fn index(self) -> usize {
        Self::ALL.iter().position(|(role, _)| *role == self).unwrap_or(0)
    }
}

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// None: modifiers only.
    None,
    /// The terminal's own sixteen.
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    /// From the environment: `NO_COLOR`, `COLORTERM`, `TERM`; `choice` is `--color` (`None`: auto).
    pub fn detect(choice: Option<bool>, var: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        if choice == Some(false) || (choice.is_none() && (set("NO_COLOR").is_some() || term == "dumb")) {
            return Self::None;
        }
        if set("COLORTERM").is_some_and(|value| matches!(value.as_str(), "truecolor" | "24bit")) {
            return Self::True;
        }
        if term.contains("direct") || set("WT_SESSION").is_some() {
            return Self::True;
        }
        if term.contains("256") { Self::Ansi256 } else { Self::Ansi16 }
    }
}

/// Whether the terminal's background is light: `CALLGATE_THEME` says so (`light` or `dark`), else
/// what the terminal tells.
pub fn light_background(var: &dyn Fn(&str) -> Option<String>) -> bool {
    match var("CALLGATE_THEME").as_deref() {
        Some("light") => return true,
        Some("dark") => return false,
        _ => {}
    }
    // Set by rxvt, konsole and others as `foreground;background` of the sixteen.
    var("COLORFGBG")
        .and_then(|value| value.rsplit(';').next().and_then(|back| back.parse::<u8>().ok()))
        .is_some_and(|back| back == 7 || back == 15)
}

/// Whether the locale shows more than ASCII.
pub fn unicode_locale(var: &dyn Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| var(name).filter(|value| !value.is_empty()))
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// The signs that screens are drawn with; each is one column wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// More than ASCII may be drawn.
    pub unicode: bool,
    /// Allowed.
    pub allow: &'static str,
    /// Denied.
    pub deny: &'static str,
    /// Hidden.
    pub hide: &'static str,
    /// By approval.
    pub approve: &'static str,
    /// A row that is marked.
    pub marked: &'static str,
    /// The selected row.
    pub cursor: &'static str,
    /// Horizontal line.
    pub line: &'static str,
    /// Vertical line.
    pub bar: &'static str,
    /// Corners of a dialog: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// Text goes on.
    pub more: &'static str,
    /// Between parts of a line.
    pub dot: &'static str,
    /// Unsaved, alive.
    pub bullet: &'static str,
    /// From to.
    pub arrow: &'static str,
    /// A filled and an empty part of a gauge.
    pub gauge: [&'static str; 2],
    /// A column of a sparkline, from empty to full.
    pub spark: [&'static str; 9],
    /// Stages of a spinner.
    pub spinner: &'static [&'static str],
}

impl Glyphs {
    /// For a locale with Unicode.
    pub const UNICODE: Self = Self {
        unicode: true,
        allow: "✓",
        deny: "✗",
        hide: "○",
        approve: "?",
        marked: "▌",
        cursor: "▸",
        line: "─",
        bar: "│",
        corners: ["╭", "╮", "╰", "╯"],
        more: "…",
        dot: "·",
        bullet: "●",
        arrow: "→",
        gauge: ["█", "░"],
        spark: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    };
    /// For any other.
    pub const ASCII: Self = Self {
        unicode: false,
        allow: "+",
        deny: "x",
        hide: "o",
        approve: "?",
        marked: "*",
        cursor: ">",
        line: "-",
        bar: "|",
        corners: ["+", "+", "+", "+"],
        more: "~",
        dot: "-",
        bullet: "*",
        arrow: ">",
        gauge: ["#", "."],
        spark: [" ", ".", ".", ":", ":", "-", "=", "+", "#"],
        spinner: &["|", "/", "-", "\\"],
    };
}

/// Styles for every role, and the glyphs.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    /// The depth that the styles are for.
    pub depth: Depth,
    /// The signs.
    pub glyphs: Glyphs,
    styles: Vec<Style>,
}

const DARK: &str = include_str!("../../assets/themes/dark.json");
const LIGHT: &str = include_str!("../../assets/themes/light.json");

impl Theme {
    /// The built-in theme for a background, at a depth.
    pub fn new(depth: Depth, light: bool, unicode: bool) -> Self {
        let glyphs = if unicode { Glyphs::UNICODE } else { Glyphs::ASCII };
        let text = if light { LIGHT } else { DARK };
        Self::parse(text, depth, glyphs).unwrap_or_else(|_| Self {
            depth: Depth::None,
            glyphs,
            styles: vec![Style::new(); Role::ALL.len()],
        })
    }

    /// Reads a theme file: an object of roles, each with `fg` and `bg` as
    /// `[24 bits, 256, 16]`, `mods`, and `mono` (the modifiers without colour). `null` in place of a
    /// colour leaves that of the terminal, or of what is drawn there.
    ///
    /// # Errors
    /// A sentence naming the role that is missing or wrong.
    pub fn parse(text: &str, depth: Depth, glyphs: Glyphs) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut styles = Vec::with_capacity(Role::ALL.len());
        for (_, name) in Role::ALL {
            let role = file.get(name).ok_or_else(|| format!("the role `{name}` is missing"))?;
            let style = if depth == Depth::None { modifiers(role.get("mono")) } else { painted(role, depth) }
                .map_err(|what| format!("the role `{name}`: {what}"))?;
            styles.push(style);
        }
        Ok(Self { depth, glyphs, styles })
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role.index()).copied().unwrap_or_default()
    }
}

fn painted(role: &Value, depth: Depth) -> Result<Style, String> {
    let mut style = modifiers(role.get("mods"))?;
    if let Some(fg) = color(role.get("fg"), depth)? {
        style = style.fg(fg);
    }
    if let Some(bg) = color(role.get("bg"), depth)? {
        style = style.bg(bg);
    }
    Ok(style)
}

fn modifiers(value: Option<&Value>) -> Result<Style, String> {
    let mut style = Style::new();
    for name in value.and_then(Value::as_array).into_iter().flatten() {
        style = style.add_modifier(match name.as_str() {
            Some("bold") => Modifier::BOLD,
            Some("dim") => Modifier::DIM,
            Some("italic") => Modifier::ITALIC,
            Some("underline") => Modifier::UNDERLINED,
            Some("reverse") => Modifier::REVERSED,
            Some("strike") => Modifier::CROSSED_OUT,
            _ => return Err(format!("{name} is no modifier")),
        });
    }
    Ok(style)
}

/// The colour for a depth; `null` at a depth is none.
fn color(value: Option<&Value>, depth: Depth) -> Result<Option<Color>, String> {
    let Some(value) = value else { return Ok(None) };
    let index = match depth {
        Depth::None => return Ok(Some(Color::Reset)),
        Depth::True => 0,
        Depth::Ansi256 => 1,
        Depth::Ansi16 => 2,
    };
    let one = value.get(index).ok_or_else(|| "a colour is `[\"#rrggbb\", 256, \"name\"]`".to_owned())?;
    if one.is_null() {
        return Ok(None);
    }
    let found = match depth {
        Depth::Ansi256 => one.as_u64().and_then(|index| u8::try_from(index).ok()).map(Color::Indexed),
        Depth::Ansi16 => one.as_str().and_then(|name| name.parse().ok()),
        _ => one
            .as_str()
            .and_then(|text| u32::from_str_radix(text.strip_prefix('#')?, 16).ok())
            .map(Color::from_u32),
    };
    let kind = match depth {
        Depth::Ansi256 => "no colour of the 256",
        Depth::Ansi16 => "no colour of the sixteen",
        _ => "no colour",
    };
    found.map(Some).ok_or_else(|| format!("{one} is {kind}"))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn both_themes_have_every_role_at_every_depth() {
        for text in [DARK, LIGHT] {
            for depth in [Depth::None, Depth::Ansi16, Depth::Ansi256, Depth::True] {
                let theme = Theme::parse(text, depth, Glyphs::UNICODE).expect("theme");
                for (role, name) in Role::ALL {
                    let style = theme.style(role);
                    if depth == Depth::None {
                        assert_eq!((style.fg, style.bg), (None, None), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_vanishes_on_the_selected_row() {
        for text in [DARK, LIGHT] {
            for depth in [Depth::Ansi16, Depth::Ansi256, Depth::True] {
                let theme = Theme::parse(text, depth, Glyphs::UNICODE).expect("theme");
                for ground in [Role::Selection, Role::SelectionFar].map(|role| theme.style(role)) {
                    for (role, name) in Role::ALL {
                        let fg = ground.fg.or(theme.style(role).fg);
                        assert!(fg.is_none() || fg != ground.bg, "{name} at {depth:?}");
                    }
                    // Sixteen colours have no ground on which the others can all be read.
                    assert_eq!(ground.fg.is_some(), depth == Depth::Ansi16);
                }
                // The row's own ground takes the place of any other: a mark stands out without one.
                let mark = theme.style(Role::Mark);
                assert!(mark.bg.is_none() && mark.add_modifier.contains(Modifier::REVERSED), "{depth:?}");
            }
        }
    }

    #[test]
    fn without_colour_the_states_still_differ_from_text() {
        let theme = Theme::new(Depth::None, false, true);
        assert_ne!(theme.style(Role::Selection), theme.style(Role::Text));
        assert_ne!(theme.style(Role::Banner), theme.style(Role::Text));
    }

    #[test]
    fn the_environment_says_how_many_colours() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(Depth::detect(None, &with(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")])), Depth::None);
        assert_eq!(Depth::detect(Some(true), &with(&[("NO_COLOR", "1"), ("TERM", "xterm")])), Depth::Ansi16);
        assert_eq!(Depth::detect(None, &with(&[("TERM", "xterm-256color")])), Depth::Ansi256);
        assert_eq!(Depth::detect(None, &with(&[("COLORTERM", "truecolor")])), Depth::True);
        assert!(unicode_locale(&with(&[("LANG", "C.UTF-8")])));
        assert!(!unicode_locale(&with(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")])));
        assert!(light_background(&with(&[("COLORFGBG", "0;15")])));
        assert!(!light_background(&with(&[("COLORFGBG", "0;15"), ("CALLGATE_THEME", "dark")])));
        assert!(light_background(&with(&[("CALLGATE_THEME", "light")])));
    }

    #[test]
    fn every_glyph_is_one_column() {
        for glyphs in [Glyphs::UNICODE, Glyphs::ASCII] {
            let all = [
                glyphs.allow,
                glyphs.deny,
                glyphs.hide,
                glyphs.approve,
                glyphs.marked,
                glyphs.cursor,
                glyphs.line,
                glyphs.bar,
                glyphs.more,
                glyphs.dot,
                glyphs.bullet,
                glyphs.arrow,
            ];
            for glyph in all.iter().chain(&glyphs.corners).chain(&glyphs.spark).chain(glyphs.spinner) {
                assert_eq!(glyph.width(), 1, "{glyph}");
                assert!(glyphs.unicode || glyph.is_ascii(), "{glyph}");
            }
        }
    }
}
