//! An interface without a terminal, for tests: keys in, state, effects and screens out.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::fmt::Write as _;
use std::sync::Arc;

use callgate::feed::message::{GrantInfo, Hello, PROTOCOL, Role, ServerInfo};
use callgate::mcp::tool::Tool;
use callgate::time::Timestamp;
use callgate::tui::app::policy::{PolicyEffect, PolicyMsg, Saved, Server};
use callgate::tui::app::{self, App, Effect, Msg, Now, Start};
use callgate::tui::key::Key;
use callgate::tui::keymap::Keymap;
use callgate::tui::theme::{Depth, Theme};
use callgate::tui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

pub const POLICY: &str = r#"{
  "version": "1",
  "default": "deny",
  "hide": ["drop_database"],
  "all_tools": { "limits": [{ "counter": "all_calls", "window": "minute", "max": 120, "scope": "grant" }] },
  "tools": {
    "list_branches": {},
    "push_branch": {
      "deny_if": [
        { "conditions": [{ "path": "args.branch", "op": "in", "value": ["main", "release"] }], "on_deny": "Open a pull request." },
        { "conditions": [{ "path": "args.force", "op": "eq", "value": true }] }
      ],
      "limits": [{ "counter": "push_branch_rate", "window": "hour", "max": 20, "scope": "grant" }]
    }
  }
}
"#;

/// A server's tools.
pub fn tools() -> Vec<Tool> {
    let json = serde_json::json!([
        { "name": "list_branches", "description": "List the branches of a repository.",
          "inputSchema": { "type": "object", "properties": { "repo": { "type": "string" } }, "required": ["repo"] } },
        { "name": "push_branch", "description": "Push commits to a branch of a repository.",
          "inputSchema": { "type": "object", "properties": {
              "repo": { "type": "string", "description": "owner/name" },
              "branch": { "type": "string", "description": "The branch to push to" },
              "force": { "type": "boolean", "description": "Overwrite what is there" } }, "required": ["repo", "branch"] } },
        { "name": "run_command", "description": "Run a shell command in the checkout.",
          "inputSchema": { "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] } },
        { "name": "delete_repository", "description": "Delete a repository for good.",
          "inputSchema": { "type": "object", "properties": { "repo": { "type": "string" } }, "required": ["repo"] } },
        { "name": "refund_payment", "description": "Refund a payment to the customer.",
          "inputSchema": { "type": "object", "properties": {
              "amount": { "type": "number", "description": "How much" },
              "currency": { "type": "string", "enum": ["EUR", "USD"] } }, "required": ["amount", "currency"] } }
    ]);
    serde_json::from_value(json).unwrap()
}

/// The interface with what a terminal and files would say to it.
pub struct Ui {
    pub app: App,
    pub effects: Vec<Effect>,
    pub ms: u64,
}

impl Ui {
    /// With a policy and a server's tools.
    pub fn with(policy: Option<&str>, tools: Vec<Tool>, size: (u16, u16), depth: Depth) -> Self {
        Self::start(policy, tools, size, Theme::new(depth, false, true), false)
    }

    pub fn start(
        policy: Option<&str>,
        tools: Vec<Tool>,
        size: (u16, u16),
        theme: Theme,
        read_only: bool,
    ) -> Self {
        let start = Start {
            tz: jiff::tz::TimeZone::UTC,
            path: "/home/kim/policy.json".into(),
            theme,
            keymap: Keymap::default(),
            seed: "test".to_owned(),
            bell: true,
            read_only,
            user: "kim".to_owned(),
            title: None,
            select: None,
            loading: true,
            has_editor: true,
        };
        let app = App::new(start, size, now(0));
        let mut ui = Self { app, effects: Vec::new(), ms: 0 };
        ui.send(Msg::Policy(PolicyMsg::Disk(policy.map(Arc::from))));
        let server = Server {
            name: "git".to_owned(),
            label: "npx git-server".to_owned(),
            tools: Arc::new(tools),
            policy: None,
        };
        ui.send(Msg::Policy(PolicyMsg::Loaded(Arc::from([server]))));
        ui
    }

    /// With the usual policy and tools.
    pub fn new() -> Self {
        Self::with(Some(POLICY), tools(), (80, 24), Depth::True)
    }

    pub fn send(&mut self, msg: Msg) {
        let effects = app::update(&mut self.app, msg, now(self.ms));
        self.effects.extend(effects);
    }

    /// Presses keys: `j j e ctrl-s`; a word in quotes is typed: `'main'`.
    pub fn keys(&mut self, script: &str) -> &mut Self {
        for word in script.split_whitespace() {
            if let Some(text) = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
                for c in text.chars() {
                    self.send(Msg::Key(Key::char(if c == '_' { '_' } else { c })));
                }
            } else {
                self.send(Msg::Key(word.parse().unwrap_or_else(|error| panic!("{word}: {error}"))));
            }
        }
        self
    }

    /// The document's text.
    pub fn text(&self) -> String {
        self.app.policy.editor.as_ref().unwrap().text().to_string()
    }

    /// Selects a tool.
    pub fn select(&mut self, tool: &str) -> &mut Self {
        assert!(self.app.policy.table.select(tool), "{tool} is not shown");
        self
    }

    /// Does what the runtime would do to save; answers with what was written.
    pub fn write(&mut self) -> Option<String> {
        let effects = std::mem::take(&mut self.effects);
        let mut written = None;
        for effect in effects {
            if let Effect::Policy(PolicyEffect::Save { text, .. }) = effect {
                written = Some(text.to_string());
                self.send(Msg::Policy(PolicyMsg::Saved(Saved::Done(text))));
            }
        }
        written
    }

    pub fn quits(&self) -> bool {
        self.effects.contains(&Effect::Quit)
    }

    /// The cells.
    pub fn buffer(&mut self) -> Buffer {
        let (width, height) = self.app.size;
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let drawn = view::draw(&self.app, &mut buffer);
        self.send(Msg::Drawn(drawn.hits));
        buffer
    }

    /// The screen as text, line by line.
    pub fn screen(&mut self) -> String {
        text_of(&self.buffer())
    }
}

pub fn text_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Whether any cell has a colour.
pub fn has_color(buffer: &Buffer) -> bool {
    buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
}

pub fn now(ms: u64) -> Now {
    let start = Timestamp::parse("2026-11-20T21:20:00Z").unwrap();
    Now { ts: start.plus_micros(i64::try_from(ms).unwrap() * 1000), ms }
}

/// A gateway of the policy's user, on the server `git`.
pub fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL.to_owned(),
        gateway: "g1".to_owned(),
        name: "git".to_owned(),
        host: "desk".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        role: Role::Operator,
        next_seq: 1,
        oldest_seq: 1,
        servers: vec![ServerInfo {
            name: "git".to_owned(),
            upstream: "npx git-server".to_owned(),
            grants: vec![GrantInfo {
                label: "local".to_owned(),
                policy: Some("/home/kim/policy.json".to_owned()),
                revision: None,
                shadow: None,
            }],
        }],
    }
}
