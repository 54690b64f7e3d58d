//! Where it was measured: the machine, the kernel, the versions; and a network namespace with equal rules for all.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::peers::find;

/// Loopback of our own: no pacing by the congestion control (BBR's costs 12–19 % on bulk), ports enough, long queues.
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/tcp_congestion_control", "reno"),
    ("net/ipv4/ip_local_port_range", "10000 65000"),
    ("net/ipv4/tcp_tw_reuse", "1"),
    ("net/ipv4/tcp_max_syn_backlog", "16384"),
    ("net/core/somaxconn", "16384"),
];

/// A loopback address at which the kernel acknowledges at once, in a network of our own.
pub const PROMPT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What a reader needs to judge the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub congestion_control: String,
    pub own_network: bool,
    /// Programs and what they say of themselves.
    pub versions: Vec<(String, String)>,
    /// UTC.
    pub date: String,
}

/// This process and all that it starts get a network of their own; says why not where that is not allowed.
pub fn own_network() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
    let output = Command::new(find("ip")?).args(["link", "set", "lo", "up"]).output()?;
    if !output.status.success() {
        bail!("ip link set lo up: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let route = format!("local {PROMPT} dev lo table local scope host src {PROMPT} quickack 1");
    // Where the route is not to be had, rathole shows its stall; see there.
    let _ = Command::new(find("ip")?).args(["route", "add"]).args(route.split(' ')).output();
    for (name, value) in SETTINGS {
        // A kernel that lacks one of them is measured as it is; the report says which congestion control it was.
        let _ = std::fs::write(Path::new("/proc/sys").join(name), value);
    }
    Ok(())
}

/// As many descriptors as the hard limit allows, here and in all that is started: `idle` holds thousands of connections.
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("the limit of open files cannot be raised")
}

impl Machine {
    /// `own_network` says whether [`own_network`] did it.
    pub fn look(own_network: bool, programs: &[(String, String)]) -> Machine {
        let info = read("/proc/cpuinfo");
        Machine {
            cpu: field(&info, "model name").unwrap_or("unknown").to_owned(),
            // Not those that this thread is pinned to.
            cores: info.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: memory_gib(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            own_network,
            versions: programs.to_vec(),
            date: now(),
        }
    }
}

/// The first line that a program says of its version, on whichever output.
pub fn version(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else {
        return "not found".into();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// The product's version, with the commit where this is a repository.
pub fn postern_version() -> String {
    let program = postern_tests::programs::path("postern-relay");
    let said = version(&program, "--version");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut git = Command::new("git");
    git.args(["-C", root, "describe", "--always", "--dirty", "--abbrev=10"]);
    match git.output() {
        Ok(output) if output.status.success() => {
            format!("{said}, commit {}", String::from_utf8_lossy(&output.stdout).trim())
        }
        Ok(_) | Err(_) => said,
    }
}

/// rathole prints a form; its version is one of the fields.
pub fn rathole_version(program: &Path) -> String {
    let Ok(output) = Command::new(program).arg("--version").output() else {
        return "not found".into();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    field(&text, "Build Version").map_or_else(|| version(program, "--version"), |value| format!("rathole {value}"))
}

fn now() -> String {
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0).ok();
    now.and_then(|now| now.format(&time::format_description::well_known::Rfc3339).ok()).unwrap_or_default()
}

fn memory_gib() -> f64 {
    let text = read("/proc/meminfo");
    let kib: f64 = field(&text, "MemTotal").and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    kib / f64::from(1 << 20)
}

fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
