//! `cargo xtask test`: every check and test there is, cheap ones first, the test runner's own closing line last.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{browser, demo, ebpf, kerberos, openid_provider, packages, perf, python, saml_peers, shell, tidy};

pub(crate) fn run() -> Result<()> {
    let begun = Instant::now();
    shell::step("system packages", system_packages)?;
    shell::step("tidy", tidy::run)?;
    shell::step("cargo fmt --check", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])))?;
    shell::step("clippy", || {
        let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        shell::run(shell::cargo().args(clippy))
    })?;
    // Without debug assertions there is less in them.
    shell::step("the programs as they are released", || {
        shell::run(shell::cargo().args(["check", "--quiet", "--locked", "--release"]))
    })?;
    shell::step("rustdoc", || {
        let doc = ["doc", "--quiet", "--workspace", "--no-deps", "--locked", "--document-private-items"];
        shell::run(shell::cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    shell::step("licences, bans and sources of dependencies", deny)?;
    shell::step("the BPF object comes from its sources", || ebpf::run(true))?;
    // Before the programs are built without Kerberos, which are those that the tests take.
    shell::step("KDCs, and the programs with Kerberos", kdcs)?;
    shell::step("build the programs", || shell::run(&mut build("dev")))?;
    shell::step("the demonstration, on the programs just built", || {
        demo::run(true, Some(shell::target_dir().join("debug")))
    })?;
    shell::step("build the tests", || {
        let mut tests = shell::cargo();
        shell::run(tests.args(["test", "--quiet", "--workspace", "--locked", "--no-run"]))
    })?;
    shell::step("build the HTTP/2 conformance suite", conformance)?;
    shell::step("Chromium, JupyterLab and other applications", a_browser)?;
    shell::step("an OpenID provider", a_provider)?;
    shell::step("a checker of SCIM", a_scim_checker)?;
    shell::step("a SAML service provider, and xmlsec1", saml_peers)?;
    shell::step("gRPC's own library", a_grpc_peer)?;
    shell::step("examples in the documentation", || {
        shell::run(shell::cargo().args(["test", "--quiet", "--workspace", "--locked", "--doc"]))
    })?;
    if shell::is_root() || shell::is_ci() {
        shell::step("counted figures against their baselines", perf::check_counted)?;
    } else {
        eprintln!("\n── counted figures: left out, since tracing needs root: cargo xtask perf --check-counted");
    }
    eprintln!("\n── tests (all before them: {:.0} s)", begun.elapsed().as_secs_f64());
    tests()
}

/// The end-to-end tests, those of some names alone if there are any; under a seccomp filter as containers have one.
pub(crate) fn end_to_end(denies_io_uring: bool, names: &[String]) -> Result<()> {
    shell::step("system packages", system_packages)?;
    shell::step("KDCs, and the programs with Kerberos", kdcs)?;
    shell::step("build the programs", || shell::run(&mut build("dev")))?;
    shell::step("Chromium, JupyterLab and other applications", a_browser)?;
    shell::step("an OpenID provider", a_provider)?;
    shell::step("a checker of SCIM", a_scim_checker)?;
    shell::step("a SAML service provider, and xmlsec1", saml_peers)?;
    shell::step("gRPC's own library", a_grpc_peer)?;
    let mut command = shell::cargo();
    if packages::cargo_program("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--locked", "--no-fail-fast", "--package", "postern-tests", "--test", "e2e"]);
    } else {
        command.args(["test", "--locked", "--no-fail-fast", "--package", "postern-tests", "--test", "e2e"]);
    }
    command.arg("--").args(names);
    if denies_io_uring {
        command.env("POSTERN_TEST_DENY_IO_URING", "1");
    }
    shell::run(peers(&mut command))
}

/// `cargo build` of the default members, which are the programs; `release` is what the demonstration runs.
pub(crate) fn build(profile: &str) -> Command {
    let mut command = shell::cargo();
    command.args(["build", "--locked", "--profile", profile]);
    command
}

/// A workspace of its own; its end-to-end test finds it built.
fn conformance() -> Result<()> {
    let mut command = shell::cargo();
    command.args(["build", "--quiet", "--locked", "--manifest-path", "tests/conformance/Cargo.toml"]);
    shell::run(command.arg("--target-dir").arg(shell::target_dir().join("conformance")))
}

fn system_packages() -> Result<()> {
    wanted(packages::ensure(&[packages::BUILD, packages::TEST]), shell::is_ci() || shell::is_root())
}

/// Some tests need them. A system may have no package of Chromium.
fn a_browser() -> Result<()> {
    wanted(browser::prepare(), shell::is_ci())
}

/// Some tests need them. A system may have other packages.
fn kdcs() -> Result<()> {
    wanted(kerberos::prepare(), shell::is_ci())
}

/// Tests of signing in need one.
fn a_provider() -> Result<()> {
    wanted(openid_provider::prepare(), shell::is_ci())
}

/// One test needs it.
fn a_scim_checker() -> Result<()> {
    wanted(python::SCIM_CHECKER.prepare(), shell::is_ci())
}

/// Tests of SAML need them.
fn saml_peers() -> Result<()> {
    wanted(saml_peers::prepare(), shell::is_ci())
}

/// One test needs it.
fn a_grpc_peer() -> Result<()> {
    wanted(python::GRPC.prepare(), shell::is_ci())
}

/// Tells tests where all of that is.
fn peers(command: &mut Command) -> &mut Command {
    let command = kerberos::with_kdcs(browser::with_jupyter(command));
    python::GRPC.told(python::SCIM_CHECKER.told(openid_provider::told(command)))
}

/// What tests need and could not be had fails the run only where it must be there.
fn wanted(prepared: Result<()>, must: bool) -> Result<()> {
    match prepared {
        Err(error) if !must => {
            eprintln!("   {error:#}");
            eprintln!("   going on without: the tests that need it say so and pass over");
            Ok(())
        }
        outcome => outcome,
    }
}

fn deny() -> Result<()> {
    // Without optimisation: it compiles in half the time and runs for a second.
    packages::ensure_cargo_program("cargo-deny", &["--debug"])?;
    // It reads the manifests of all targets' dependencies, those that no build here needs included.
    shell::run(shell::cargo().args(["fetch", "--quiet", "--locked"]))?;
    let program = packages::cargo_program("cargo-deny").context("cargo-deny is not found")?;
    let mut check = Command::new(program);
    check.args(["--log-level", "error", "--workspace", "--offline", "check", "bans", "licenses", "sources"]);
    shell::run(check.current_dir(shell::root()))
}

fn tests() -> Result<()> {
    let mut command = shell::cargo();
    if packages::cargo_program("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    }
    shell::run(peers(&mut command))
}
