//! The arguments of every command.

mod gateway;
mod operators;
mod recorded;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(super) use self::gateway::{GatewayArgs, GuardArgs, HttpArgs, PinsArg, RecordArgs};
pub(super) use self::operators::{
    ApprovalsArgs, ApprovalsDo, ApproveArgs, EntryArgs, FeedRole, FreezeArgs, GrantAction, GrantAddArgs,
    GrantArgs, GrantRevokeArgs, RejectArgs, UnfreezeArgs,
};
pub(super) use self::recorded::ReplayArgs;
use super::output::ColorChoice;
use crate::risk::Profile;

/// Edit, enforce and watch the policy of what AI agents may call on MCP servers.
#[derive(Debug, Parser)]
#[command(
    name = "callgate",
    version,
    subcommand_negates_reqs = true,
    override_usage = "callgate [OPTIONS] [POLICY] [-- CMD...]\n       callgate [OPTIONS] COMMAND"
)]
pub struct Cli {
    /// How to print data
    #[arg(long, global = true, value_enum, default_value_t = FormatArg::Text, hide_possible_values = true, value_name = "text|json")]
    pub format: FormatArg,
    /// When to colour; `NO_COLOR` is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, hide_possible_values = true, value_name = "auto|always|never")]
    pub color: ColorChoice,
    /// What to open when no command is named.
    #[command(flatten)]
    pub open: OpenArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FormatArg {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For CI systems; only of `callgate test`.
    Junit,
    /// Records as RFC 4180; only of `tail`.
    Csv,
    /// Records in the Common Event Format; only of `tail`.
    Cef,
    /// Records as `key=value`; only of `tail`.
    Logfmt,
}

/// The terminal interface's arguments.
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// The policy to edit
    #[arg(default_value = "policy.json")]
    pub policy: PathBuf,
    /// Where the tools come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Attach to this feed only (`ws://HOST:PORT/feed`); may be repeated
    #[arg(long = "feed", value_name = "URL")]
    pub feeds: Vec<String>,
    /// The file that holds the feed's token
    #[arg(long, value_name = "FILE")]
    pub feed_token_file: Option<PathBuf>,
    /// Refuse everything that changes something
    #[arg(long)]
    pub read_only: bool,
}

/// A source of tools.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// A streamable HTTP server
    #[arg(long, value_name = "URL", group = "source")]
    pub url: Option<String>,
    /// With `--url`: a header of every request; `${VAR}` is read from the environment
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "url")]
    pub headers: Vec<String>,
    /// A saved `tools/list` result
    #[arg(long, value_name = "FILE", group = "source")]
    pub tools: Option<PathBuf>,
    /// An MCP client whose configuration names the servers
    #[arg(long, value_name = "NAME", group = "source")]
    pub client: Option<String>,
    /// The server within a client's configuration
    #[arg(long, value_name = "NAME", requires = "client")]
    pub server: Option<String>,
    /// A stdio server's command line
    #[arg(last = true, value_name = "CMD", group = "source")]
    pub command: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand between an agent and a server, deciding each call
    Gateway(Box<GatewayArgs>),
    /// Watch over a gateway's server (started by the gateway itself)
    #[command(hide = true)]
    Guard(GuardArgs),
    /// Print records as they come
    #[command(
        after_help = "`--format` is `text`, `json` (the records as they are), `csv`, `cef` or `logfmt`."
    )]
    Tail(TailArgs),
    /// Show gateways, freezes and unguarded servers
    Status(StatusArgs),
    /// List a server's tools with their risk
    Tools(ToolsArgs),
    /// Write a starting policy for a server
    Init(InitArgs),
    /// Check policy files and gateway.json
    Check(CheckArgs),
    /// Explain the decision about one call
    Explain(ExplainArgs),
    /// Run the tests beside a policy
    Test(TestArgs),
    /// Suggest the least-privilege policy that recorded traffic needs
    Suggest(SuggestArgs),
    /// Decide recorded calls by another policy and show what changes
    Replay(ReplayArgs),
    /// Add, list and revoke tokens of grants and feeds
    Grant(GrantArgs),
    /// Deny every call in a scope, at once
    Freeze(FreezeArgs),
    /// Lift a freeze
    Unfreeze(UnfreezeArgs),
    /// Calls that wait for a person: list them, approve one, reject one
    Approvals(ApprovalsArgs),
    /// Put the gateway in front of servers that an MCP client has configured
    Wrap(WrapArgs),
    /// Take the gateway out of a client's configuration again, byte for byte
    Unwrap(UnwrapArgs),
    /// Show everything at once, with nothing installed
    Demo(DemoArgs),
    /// Print a shell's completions
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// Where counters, freezes and overrides are shared.
#[derive(Debug, Clone, Default, Args)]
pub struct CountersArgs {
    /// The store shared with others: `redis://HOST[:PORT][/DB]`, `rediss://...`, `unix:/PATH` or a
    /// file; `CALLGATE_COUNTERS` names it, too
    #[arg(long, value_name = "PLACE")]
    pub counters: Option<String>,
}

/// `callgate tail`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct TailArgs {
    /// Only denied calls
    #[arg(long)]
    pub deny: bool,
    /// Only what this filter matches, for instance `tool:ghcr_* -grant:ci`
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// From so long ago (`15m`, `2h`, `3d`) or from an instant (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Up to so long ago or up to an instant, and stop there
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Stop at the end instead of waiting for more
    #[arg(long, overrides_with = "follow")]
    pub no_follow: bool,
    /// Wait for more, over rotation and restarts: what `tail` does by itself
    #[arg(short, long, overrides_with = "no_follow", conflicts_with_all = ["stats", "report", "until"])]
    pub follow: bool,
    /// Counts, rates, latencies and what is lost, instead of lines
    #[arg(long)]
    pub stats: bool,
    /// A Markdown report of the incident, instead of lines
    #[arg(long, conflicts_with = "stats")]
    pub report: bool,
    /// Exit with 1 when nothing was found; stops at the end
    #[arg(long, conflicts_with = "follow")]
    pub exit_code: bool,
    /// Read a gateway's feed
    #[arg(long, value_name = "URL", conflicts_with = "journal")]
    pub feed: Option<String>,
    /// The file that holds the feed's token
    #[arg(long, value_name = "FILE")]
    pub feed_token_file: Option<PathBuf>,
    /// Read this journal file or folder
    #[arg(long, value_name = "PATH")]
    pub journal: Option<PathBuf>,
}

/// `callgate status`
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Where counters, freezes and overrides are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
}

/// `callgate tools`
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    /// Where the tools come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Show each tool's state under this policy
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Save the list as the server gave it
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// With `--format json`: add descriptions and schemas
    #[arg(long)]
    pub full: bool,
    /// Accept the definitions of all these tools, as the pins of this policy
    #[arg(long, value_name = "POLICY")]
    pub pin: Option<PathBuf>,
    /// With `--pin`: accept without asking
    #[arg(long, requires = "pin")]
    pub yes: bool,
    /// The profile whose rules are recommended
    #[arg(long, value_enum, default_value_t = Profile::Balanced, hide_possible_values = true, value_name = "strict|balanced|open")]
    pub profile: Profile,
    /// How long the server may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `callgate init`
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Where the tools come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How strict the policy is
    #[arg(long, value_enum, default_value_t = Profile::Balanced, hide_possible_values = true, value_name = "strict|balanced|open")]
    pub profile: Profile,
    /// Where to write it; standard output when left out
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// How long the server may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `callgate check`
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also name what PolicyLayer's documented format lacks
    #[arg(long)]
    pub portable: bool,
    /// Also hold the policy against this saved tool list
    #[arg(long, value_name = "FILE")]
    pub tools: Option<PathBuf>,
    /// Also say what the calls of this journal file or folder did to each rule; may be repeated
    #[arg(long, value_name = "PATH")]
    pub journal: Vec<PathBuf>,
}

/// `callgate explain`
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The policy
    pub file: PathBuf,
    /// The tool's name
    pub tool: String,
    /// The call's arguments as JSON
    #[arg(value_name = "ARGS-JSON")]
    pub arguments: Option<String>,
    /// Exit with 1 unless the call is allowed
    #[arg(long)]
    pub exit_code: bool,
    /// Reckon with the counters and freezes of this moment
    #[arg(long)]
    pub live: bool,
    /// With `--live`: the server whose counters count
    #[arg(long, value_name = "NAME", default_value = "")]
    pub server: String,
    /// With `--live`: the grant whose counters count
    #[arg(long, value_name = "LABEL", default_value = "local")]
    pub grant: String,
    /// With `--live`: where counters, freezes and overrides are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
}

/// `callgate test`
#[derive(Debug, Clone, Args)]
#[command(after_help = "`--format junit` prints the results for CI systems")]
pub struct TestArgs {
    /// The policy
    pub file: PathBuf,
    /// The file of tests, the one beside the policy when left out (`policy.test.json`); or a journal
    /// (`.jsonl`, or a folder of them), whose calls are all to be decided as they were
    pub cases: Option<PathBuf>,
    /// Of a journal only calls at this server
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Print only what failed, and the sum
    #[arg(short, long)]
    pub quiet: bool,
}

/// `callgate suggest`
#[derive(Debug, Clone, Args)]
pub struct SuggestArgs {
    /// Journal files or folders; all of this user's when left out
    #[arg(value_name = "JOURNAL")]
    pub journals: Vec<PathBuf>,
    /// Only calls at this server
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Only calls of this grant
    #[arg(long, value_name = "LABEL")]
    pub grant: Option<String>,
    /// From so long ago (`2h`, `30d`) or from an instant (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// How closely the policy keeps to what was seen
    #[arg(long, value_enum, default_value_t = Profile::Balanced, hide_possible_values = true, value_name = "strict|balanced|open")]
    pub profile: Profile,
    /// How much more than what was seen is allowed; the profile's own when left out (10, 25, 100)
    #[arg(long, value_name = "PERCENT")]
    pub margin: Option<u32>,
    /// Hide the tools of this saved list that were not used
    #[arg(long, value_name = "FILE")]
    pub tools: Option<PathBuf>,
    /// Only what PolicyLayer's documented format has
    #[arg(long)]
    pub portable: bool,
    /// Where to write it; standard output when left out
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// `callgate wrap`
#[derive(Debug, Clone, Args)]
pub struct WrapArgs {
    /// Which servers.
    #[command(flatten)]
    pub entry: EntryArgs,
    /// The policy to enforce; `policies/SERVER.json` in the configuration folder when left out
    #[arg(long, value_name = "FILE", requires = "server")]
    pub policy: Option<PathBuf>,
    /// How strict a new policy is
    #[arg(long, value_enum, default_value_t = Profile::Balanced, hide_possible_values = true, value_name = "strict|balanced|open")]
    pub profile: Profile,
    /// How long the server may take to list its tools for a new policy, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `callgate unwrap`
#[derive(Debug, Clone, Args)]
pub struct UnwrapArgs {
    /// Which servers.
    #[command(flatten)]
    pub entry: EntryArgs,
}

/// `callgate demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Run only one part (used by the demo itself): a server's name, or `agent`
    #[arg(long, hide = true, value_name = "PART")]
    pub part: Option<String>,
    /// Run without the terminal interface for so long and say what was decided
    #[arg(long, hide = true, value_name = "SECONDS", conflicts_with = "part")]
    pub headless: Option<u64>,
    /// Tell the same story again
    #[arg(long, hide = true, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

/// `callgate completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
