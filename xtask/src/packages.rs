//! Which system packages the checks need, and how they get there: installed when root on Debian or Ubuntu, else named.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// What is looked for, and the Debian package it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) needs: Needs,
    pub(crate) debian: &'static str,
}

/// How one knows that a package is there.
#[derive(Clone, Copy)]
pub(crate) enum Needs {
    Program(&'static str),
    File(&'static str),
}

const fn program(name: &'static str, debian: &'static str) -> Package {
    Package { needs: Needs::Program(name), debian }
}

/// To build the programs: a C compiler for the TLS primitives and SQLite.
pub(crate) const BUILD: &[Package] = &[
    program("cc", "gcc"),
    program("make", "make"),
    Package { needs: Needs::File("/usr/include/stdlib.h"), debian: "libc6-dev" },
];

/// To demonstrate: a client as anyone would use it.
pub(crate) const DEMO: &[Package] = &[
    program("curl", "curl"),
    Package { needs: Needs::File("/etc/ssl/certs/ca-certificates.crt"), debian: "ca-certificates" },
];

/// To test: real applications, clients, load and instruments.
pub(crate) const TEST: &[Package] = &[
    program("git", "git"),
    program("nginx", "nginx-light"),
    program("curl", "curl"),
    program("wrk", "wrk"),
    program("nghttp", "nghttp2-client"),
    program("nghttpd", "nghttp2-server"),
    program("strace", "strace"),
    program("ss", "iproute2"),
    program("haproxy", "haproxy"),
    program("openssl", "openssl"),
    program("systemd-analyze", "systemd"),
    program("ps", "procps"),
    // Without the service that the other package would start.
    program("tinyproxy", "tinyproxy-bin"),
    program("pebble", "pebble"),
    program("dnsmasq", "dnsmasq-base"),
];

/// To count what requests cost.
pub(crate) const COUNTING: &[Package] =
    &[program("openssl", "openssl"), program("strace", "strace"), program("valgrind", "valgrind")];

impl Package {
    fn is_there(&self) -> bool {
        match self.needs {
            Needs::Program(name) => shell::find(name).is_some(),
            Needs::File(path) => std::path::Path::new(path).exists(),
        }
    }
}

/// The Debian packages of those that are missing.
pub(crate) fn missing(wanted: &[&[Package]]) -> Vec<&'static str> {
    let mut names: Vec<_> =
        wanted.iter().copied().flatten().filter(|package| !package.is_there()).map(|package| package.debian).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The command that installs them by hand.
pub(crate) fn install_line(names: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", names.join(" "))
}

/// Installs what is missing. Without root or apt it fails with the exact command to type.
pub(crate) fn ensure(wanted: &[&[Package]]) -> Result<()> {
    let names = missing(wanted);
    if names.is_empty() {
        return Ok(());
    }
    if !shell::is_root() || shell::find("apt-get").is_none() {
        bail!("missing here; install with:\n    {}", install_line(&names));
    }
    eprintln!("   installing {}", names.join(" "));
    let mut update = apt();
    update.args(["-qq", "update"]);
    shell::run(&mut update)?;
    let mut install = apt();
    install.args(["-qq", "-y", "install", "--no-install-recommends"]);
    install.args(&names);
    shell::run(&mut install)?;
    let still = missing(wanted);
    if !still.is_empty() {
        bail!("installed, yet not found: {}", still.join(" "));
    }
    Ok(())
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null()).stdout(std::io::stderr());
    command
}

/// Installs a cargo program into cargo's own folder when it is missing; returns whether it is there.
pub(crate) fn ensure_cargo_program(name: &str, arguments: &[&str]) -> Result<()> {
    if cargo_program(name).is_some() {
        return Ok(());
    }
    eprintln!("   compiling {name}, once: a few minutes");
    let mut install = shell::cargo();
    install.args(["install", "--quiet", "--locked", name]);
    install.args(arguments);
    // Outside the repository's target folder: its flags and locks are not this program's business.
    install.current_dir("/").env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    shell::run(&mut install)?;
    cargo_program(name).with_context(|| format!("{name} was installed, yet is not found"))?;
    Ok(())
}

/// Where a cargo program is: `PATH`, or cargo's own folder, which may not be in it.
pub(crate) fn cargo_program(name: &str) -> Option<std::path::PathBuf> {
    shell::find(name).or_else(|| {
        let home = std::env::var_os("CARGO_HOME")
            .map(std::path::PathBuf::from)
            .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
        Some(home.join("bin").join(name)).filter(|file| file.is_file())
    })
}
