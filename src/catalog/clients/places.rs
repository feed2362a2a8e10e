//! The clients that are known, and where each keeps its configuration
//! (vendors' documentation, read 2026-11).

use std::path::{Path, PathBuf};

use super::super::error::{CatalogError, Failure, shown};
use super::{Env, System};

/// An MCP client whose files can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Claude Desktop.
    ClaudeDesktop,
    /// Claude Code.
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    VsCode,
    /// Windsurf.
    Windsurf,
    /// Zed.
    Zed,
    /// Codex CLI.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Goose.
    Goose,
    /// Continue.
    Continue,
}

/// All of them.
pub const CLIENTS: [Client; 10] = [
    Client::ClaudeDesktop,
    Client::ClaudeCode,
    Client::Cursor,
    Client::VsCode,
    Client::Windsurf,
    Client::Zed,
    Client::Codex,
    Client::Gemini,
    Client::Goose,
    Client::Continue,
];

impl Client {
    /// As people type it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Windsurf => "windsurf",
            Self::Zed => "zed",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Goose => "goose",
            Self::Continue => "continue",
        }
    }

    /// As its maker writes it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Goose => "Goose",
            Self::Continue => "Continue",
        }
    }

    /// The key that holds the servers.
    pub(super) fn keys(self) -> &'static str {
        match self {
            Self::VsCode => "`servers`",
            Self::Zed => "`context_servers`",
            Self::Codex => "`[mcp_servers.NAME]`",
            Self::Goose => "`extensions`",
            _ => "`mcpServers`",
        }
    }
}

/// The client of that name.
pub(super) fn client(name: &str) -> Result<Client, CatalogError> {
    let plain: String = name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
    let also = match plain.as_str() {
        "code" | "visualstudiocode" | "copilot" => "vscode",
        "geminicli" => "gemini",
        "codexcli" => "codex",
        other => other,
    };
    let found = CLIENTS.into_iter().find(|client| client.name().replace('-', "") == also);
    found.ok_or_else(|| {
        let near = CLIENTS
            .into_iter()
            .map(|client| (strsim::jaro_winkler(&plain, &client.name().replace('-', "")), client))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(near, _)| *near > 0.8);
        let names: Vec<&str> = CLIENTS.into_iter().map(Client::name).collect();
        let meant = near.map(|(_, client)| format!("did you mean `{}`? ", client.name())).unwrap_or_default();
        CatalogError::new(Failure::Usage, format!("unknown client `{}`", shown(name)))
            .help(format!("{meant}known are {}", names.join(", ")))
    })
}

/// The files in which a client looks, the nearest first.
pub(super) fn files(client: Client, env: &Env) -> Vec<PathBuf> {
    let home = &env.home;
    let config = || match env.var("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => path,
        None => home.join(".config"),
    };
    let roaming = || env.var("APPDATA").map_or_else(|| home.join("AppData/Roaming"), PathBuf::from);
    // Where applications keep their data: `NAME/...` below it.
    let application = || match env.system {
        System::Mac => home.join("Library/Application Support"),
        System::Windows => roaming(),
        System::Linux => config(),
    };
    match client {
        Client::ClaudeDesktop => vec![application().join("Claude/claude_desktop_config.json")],
        Client::ClaudeCode => {
            let own = env.var("CLAUDE_CONFIG_DIR").map_or_else(|| home.clone(), PathBuf::from);
            let mut files = upwards(env, ".mcp.json");
            files.push(own.join(".claude.json"));
            files
        }
        Client::Cursor => with_home(env, ".cursor/mcp.json"),
        Client::VsCode => {
            let mut files = upwards(env, ".vscode/mcp.json");
            for edition in ["Code", "Code - Insiders", "VSCodium"] {
                let user = application().join(edition).join("User");
                files.push(user.join("mcp.json"));
                files.push(user.join("settings.json"));
            }
            files
        }
        Client::Windsurf => vec![home.join(".codeium/windsurf/mcp_config.json")],
        Client::Zed => {
            let mut files = upwards(env, ".zed/settings.json");
            files.push(match env.system {
                System::Windows => roaming().join("Zed/settings.json"),
                System::Mac => home.join(".config/zed/settings.json"),
                System::Linux => config().join("zed/settings.json"),
            });
            files
        }
        Client::Codex => {
            let mut files = upwards(env, ".codex/config.toml");
            let own = env.var("CODEX_HOME").map_or_else(|| home.join(".codex"), PathBuf::from);
            files.push(own.join("config.toml"));
            unique(files)
        }
        Client::Gemini => with_home(env, ".gemini/settings.json"),
        Client::Goose => vec![match env.system {
            System::Windows => roaming().join("Block/goose/config/config.yaml"),
            System::Mac | System::Linux => config().join("goose/config.yaml"),
        }],
        Client::Continue => {
            let mut files = Vec::new();
            for folder in [env.cwd.join(".continue/mcpServers"), home.join(".continue/mcpServers")] {
                files.extend(blocks(&folder));
            }
            files.push(home.join(".continue/config.yaml"));
            unique(files)
        }
    }
}

fn with_home(env: &Env, file: &str) -> Vec<PathBuf> {
    let mut files = upwards(env, file);
    files.push(env.home.join(file));
    unique(files)
}

/// The nearest such file of the working folder and those above it; the working folder's own path
/// when there is none, for messages.
fn upwards(env: &Env, file: &str) -> Vec<PathBuf> {
    let found = env.cwd.ancestors().map(|folder| folder.join(file)).find(|path| path.is_file());
    vec![found.unwrap_or_else(|| env.cwd.join(file))]
}

fn unique(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for file in files {
        if !kept.contains(&file) {
            kept.push(file);
        }
    }
    kept
}

/// The blocks of a folder, in the order of their names.
fn blocks(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
        })
        .collect();
    files.sort();
    files
}
