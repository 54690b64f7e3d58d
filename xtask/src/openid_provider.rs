//! A real OpenID provider for the tests, and a real client: Node, oidc-provider and openid-client in the versions of their lock file.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Needs, Package};
use crate::shell;

/// Tells the tests where it is.
const VARIABLE: &str = "POSTERN_TEST_OPENID_PROVIDER";
/// oidc-provider 9 does not start on older ones.
const NODE_MAJOR_MIN: u32 = 20;

const PACKAGES: &[Package] = &[
    Package { needs: Needs::Program("node"), debian: "nodejs" },
    Package { needs: Needs::Program("npm"), debian: "npm" },
];

/// Installs what is missing: Node as a system package, the provider in a folder of its own.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure(&[PACKAGES])?;
    let version = shell::output(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        bail!("Node {NODE_MAJOR_MIN} or newer is needed, this is {}", version.trim());
    }
    let (from, to) = (shell::root().join("tests/peers/oidc"), folder());
    std::fs::create_dir_all(&to)?;
    let lock = std::fs::read(from.join("package-lock.json")).context("tests/peers/oidc/package-lock.json")?;
    // Before the others are copied: what lies there tells what was installed.
    let installed = to.join("node_modules/.package-lock.json").exists()
        && std::fs::read(to.join("package-lock.json")).is_ok_and(|installed| installed == lock);
    for file in ["package.json", "package-lock.json", "provider.mjs", "client.mjs"] {
        std::fs::copy(from.join(file), to.join(file)).with_context(|| file.to_owned())?;
    }
    if !installed {
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&to);
        shell::run(install.stdout(std::io::stderr()))?;
    }
    Ok(())
}

/// The command, told where it is.
pub(crate) fn told(command: &mut Command) -> &mut Command {
    command.env(VARIABLE, folder())
}

/// Kept beside what is built.
fn folder() -> PathBuf {
    shell::target_dir().join("openid-provider")
}
