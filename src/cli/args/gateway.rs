//! What `gateway` takes.

use std::path::PathBuf;

use clap::Args;

use super::CountersArgs;

/// `callgate gateway`
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// The policy to enforce
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub policy: Option<PathBuf>,
    /// The server's name; the package's or program's name when left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The grant's label
    #[arg(long, value_name = "LABEL", default_value = "local")]
    pub grant: String,
    /// Where counters, freezes and overrides are shared.
    #[command(flatten)]
    pub counters: CountersArgs,
    /// What to do about tools whose definition differs from the accepted one (FILE's pins)
    #[arg(long, value_enum, default_value_t = PinsArg::Warn, value_name = "off|warn|enforce", hide_possible_values = true)]
    pub pins: PinsArg,
    /// Also record what this candidate policy would decide; it is never enforced
    #[arg(long, value_name = "FILE")]
    pub shadow: Option<PathBuf>,
    /// Forward although the decision could not be recorded or counted
    #[arg(long)]
    pub fail_open: bool,
    /// How much of the arguments is recorded
    #[arg(long, value_enum, default_value_t = RecordArgs::Masked, value_name = "full|masked|keys", hide_possible_values = true)]
    pub record_args: RecordArgs,
    /// The largest message that is looked at, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 10 * 1024 * 1024)]
    pub max_message: usize,
    /// Run this shell command for denies, approvals and freezes, at most once a second; the record is
    /// on its standard input
    #[arg(long, value_name = "CMD")]
    pub notify: Option<String>,
    /// Serve `/metrics`, `/healthz` and `/readyz` at this loopback address, too
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// Over HTTP.
    #[command(flatten)]
    pub http: HttpArgs,
    /// The server's command line; the `--` before it may be left out
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present_any = ["upstream", "config"],
        conflicts_with = "upstream",
        value_name = "CMD"
    )]
    pub command: Vec<String>,
}

/// `callgate gateway --listen`
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Over HTTP")]
pub struct HttpArgs {
    /// Serve the servers and grants of this gateway.json, each at `/mcp/SERVER`
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["listen", "upstream", "policy", "command", "no_auth"]
    )]
    pub config: Option<PathBuf>,
    /// Serve streamable HTTP at this address, for instance `127.0.0.1:4711`
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The streamable HTTP server behind the gateway
    #[arg(long, value_name = "URL", requires = "listen")]
    pub upstream: Option<String>,
    /// With `--upstream`: a header of every request; `${VAR}` is read from the environment
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "upstream")]
    pub headers: Vec<String>,
    /// The certificates of the listener, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the listener's certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Something in front secures the connections
    #[arg(long)]
    pub behind_proxy: bool,
    /// Clients need no token
    #[arg(long, requires = "listen")]
    pub no_auth: bool,
    /// A further name under which the gateway is asked; may be repeated
    #[arg(long = "allow-host", value_name = "HOST")]
    pub allow_hosts: Vec<String>,
    /// A web origin whose pages may ask; may be repeated
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,
    /// The most sessions at once; 32 for a command, which runs once for each, else 10000
    #[arg(long, value_name = "NUMBER")]
    pub max_sessions: Option<usize>,
    /// The most connections at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4096)]
    pub max_connections: usize,
    /// The most streams without an end of their own at once
    #[arg(long, value_name = "NUMBER", default_value_t = 2048)]
    pub max_streams: usize,
    /// How long a session is kept that is not used, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub session_idle: u64,
    /// How long a stream may stay without a byte, comments included, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub stream_idle: u64,
    /// How long the server may take to begin its answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub upstream_timeout: u64,
    /// How long a client may take to send a request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub read_timeout: u64,
    /// How long a client may leave what it is sent unread, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub write_timeout: u64,
    /// How long running requests may take once the gateway is to end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain: u64,
}

/// What is done about tools that have drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PinsArg {
    /// Nothing is compared.
    Off,
    /// They are reported.
    Warn,
    /// Their calls are denied.
    Enforce,
}

/// `callgate guard`
#[derive(Debug, Clone, Args)]
pub struct GuardArgs {
    /// The gateway's process id
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// The server's command line
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// How much of a call's arguments is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordArgs {
    /// Everything.
    Full,
    /// Everything but secrets.
    Masked,
    /// Only the names.
    Keys,
}
