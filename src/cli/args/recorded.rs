//! The arguments of commands that look at recorded calls again.

use std::path::PathBuf;

use clap::Args;

/// `callgate replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The policy that the recorded calls are decided by now
    #[arg(value_name = "NEW")]
    pub policy: PathBuf,
    /// Journal files or folders; every journal of yours when left out
    #[arg(value_name = "JOURNAL")]
    pub journals: Vec<PathBuf>,
    /// Compare with this policy instead of with what was decided
    #[arg(long, value_name = "OLD")]
    pub against: Option<PathBuf>,
    /// Only calls from so long ago (`15m`, `2h`, `3d`) or from an instant (RFC 3339) on
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Calls of this server; else those of who was under NEW or OLD, or of the only server there is
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Only calls of this grant
    #[arg(long, value_name = "LABEL")]
    pub grant: Option<String>,
    /// Exit with 1 when a decision changes
    #[arg(long)]
    pub exit_code: bool,
}
