//! What the commands of operators take: grants, freezes and approvals.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CountersArgs;

/// `callgate grant`
#[derive(Debug, Clone, Args)]
pub struct GrantArgs {
    /// The gateway's configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "gateway.json")]
    pub config: PathBuf,
    /// What to do; `list` when left out.
    #[command(subcommand)]
    pub action: Option<GrantAction>,
}

/// What to do with grants.
#[derive(Debug, Clone, Subcommand)]
pub enum GrantAction {
    /// Make a token and print it, once
    Add(GrantAddArgs),
    /// List grants and feed tokens
    List,
    /// Take a grant, or a feed's token, away
    Revoke(GrantRevokeArgs),
}

/// `callgate grant add`
#[derive(Debug, Clone, Args)]
pub struct GrantAddArgs {
    /// The label, which records name the grant by
    pub label: String,
    /// The server that may be used
    #[arg(long, value_name = "NAME", required_unless_present = "feed", conflicts_with = "feed")]
    pub server: Option<String>,
    /// The policy that decides the calls
    #[arg(long, value_name = "FILE", required_unless_present = "feed", conflicts_with = "feed")]
    pub policy: Option<String>,
    /// A policy to evaluate beside it
    #[arg(long, value_name = "FILE", conflicts_with = "feed")]
    pub shadow: Option<String>,
    /// A token of the feed instead of a grant
    #[arg(long)]
    pub feed: bool,
    /// What the feed's token allows
    #[arg(
        long,
        value_enum,
        value_name = "viewer|operator",
        hide_possible_values = true,
        requires = "feed",
        required_if_eq("feed", "true")
    )]
    pub role: Option<FeedRole>,
    /// End by itself after so long (`30d`)
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
}

/// What a feed's token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FeedRole {
    /// Look.
    Viewer,
    /// Also approve, freeze and override.
    Operator,
}

/// `callgate grant revoke`
#[derive(Debug, Clone, Args)]
pub struct GrantRevokeArgs {
    /// The label
    pub label: String,
    /// A token of the feed instead of a grant
    #[arg(long)]
    pub feed: bool,
}

/// `callgate freeze`
#[derive(Debug, Clone, Args)]
pub struct FreezeArgs {
    /// Only this server
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Only this grant
    #[arg(long, value_name = "LABEL")]
    pub grant: Option<String>,
    /// Only this tool
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// End by itself after so long (`15m`, `1h`)
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
    /// Why, for those who find their calls denied
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Where freezes are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
}

/// `callgate unfreeze`
#[derive(Debug, Clone, Args)]
pub struct UnfreezeArgs {
    /// The freeze's server
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// The freeze's grant
    #[arg(long, value_name = "LABEL")]
    pub grant: Option<String>,
    /// The freeze's tool
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Where freezes are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
}

/// `callgate approvals`
#[derive(Debug, Clone, Args)]
pub struct ApprovalsArgs {
    /// What to do; they are listed when left out
    #[command(subcommand)]
    pub what: Option<ApprovalsDo>,
    /// Where approvals are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
}

/// What `callgate approvals` does.
#[derive(Debug, Clone, Subcommand)]
pub enum ApprovalsDo {
    /// Show the calls that wait, with their arguments in full
    List,
    /// Let a call run, once
    Approve(ApproveArgs),
    /// Do not let a call run
    Reject(RejectArgs),
}

/// `callgate approvals approve`
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// The id that the list shows
    #[arg(value_name = "ID")]
    pub id: String,
    /// A word about it, for the journal
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Let equal calls run too, for so long (`15m`, at most a day)
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
}

/// `callgate approvals reject`
#[derive(Debug, Clone, Args)]
pub struct RejectArgs {
    /// The id that the list shows
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why, for the agent to read
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// What is asked of `wrap` and `unwrap` alike.
#[derive(Debug, Clone, Args)]
pub struct EntryArgs {
    /// The client: claude-desktop, claude-code, cursor, vscode, windsurf, zed, codex, gemini, goose
    /// or continue
    pub client: String,
    /// One of its servers; all of them when left out
    pub server: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Without SERVER: do not ask
    #[arg(long)]
    pub yes: bool,
}
