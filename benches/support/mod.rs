//! What the benchmarks of gateways share.

#![allow(dead_code, unreachable_pub, clippy::cast_precision_loss, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One `tools/call` as a line.
pub fn call(id: usize, tool: &str, arguments: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}}}}}\n"
    )
}

/// The value at a part (0.5 is the median) of the values.
pub fn at(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[index]
}

/// The folder of the examples, built as the benchmark is.
pub fn examples(names: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_callgate")).parent().unwrap().join("examples");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release"]);
    for name in names {
        build.args(["--example", name]);
    }
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    folder
}

/// A process that is ended with its owner.
pub struct Ended(pub Child);

impl Ended {
    pub fn quiet(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Memory that it holds, in MiB. 0 where the system does not say.
    pub fn resident(&self) -> f64 {
        resident(self.0.id())
    }
}

/// Memory that a process holds, in MiB. 0 where the system does not say.
pub fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}
