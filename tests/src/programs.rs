//! Where the real programs are: beside the test binary that runs, built again when they are older than their sources.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A folder that holds programs already built; without it they are built here.
pub const FOLDER_VARIABLE: &str = "POSTERN_TEST_PROGRAMS";
/// Set to 1: daemons run where the kernel refuses io_uring.
pub const DENY_VARIABLE: &str = "POSTERN_TEST_DENY_IO_URING";
const PACKAGES: &[&str] = &[
    "postern-control",
    "postern-relay",
    "postern-connector",
    "postern-identity",
    "postern-cli",
    "postern-directory-sync",
];

/// A command for one of them, without whatever `POSTERN_…` this shell holds, or proxies.
pub fn command(name: &str) -> Command {
    clean(Command::new(path(name)))
}

/// The same, under a seccomp filter that refuses `io_uring_setup` to the program and its children.
pub fn command_without_io_uring(name: &str) -> Command {
    let mut command = Command::new(beside_tests().join("deny-io-uring"));
    command.arg(path(name));
    clean(command)
}

/// Whether the whole run is to do without io_uring.
pub fn denies_io_uring() -> bool {
    std::env::var_os(DENY_VARIABLE).is_some_and(|value| value == "1")
}

fn clean(mut command: Command) -> Command {
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("POSTERN_")) {
        command.env_remove(key);
    }
    for key in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(key);
    }
    command.env("NO_COLOR", "1").env_remove("NOTIFY_SOCKET");
    command
}

/// The path of one of them.
///
/// # Panics
/// When they cannot be built: no test can go on.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => build(),
    });
    folder.join(name)
}

/// `TARGET/PROFILE` of the running program, which is `TARGET/PROFILE/deps/e2e-…` or `TARGET/PROFILE/NAME`. What is made for
/// tests only was built there with them.
fn beside_tests() -> PathBuf {
    let binary = std::env::current_exe().expect("the running program has a path");
    let beside = binary.parent().expect("a program lies in a folder");
    let folder = if beside.ends_with("deps") { beside.parent().expect("deps lies in TARGET/PROFILE") } else { beside };
    folder.to_owned()
}

/// `TARGET` of the running program.
pub fn target() -> PathBuf {
    beside_tests().parent().expect("TARGET/PROFILE has a parent").to_owned()
}

/// Builds them with the profile of the running program.
fn build() -> PathBuf {
    let folder = beside_tests();
    let target = target();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--profile", profile]).arg("--target-dir").arg(target);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the programs do not build");
    folder
}
