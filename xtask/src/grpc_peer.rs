//! gRPC's own library for the tests, in an environment of its own: grpcio, as service and as client.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages::{self, Needs, Package};
use crate::shell;

/// Names the Python that has it to the tests.
const VARIABLE: &str = "POSTERN_TEST_GRPC";
const REQUIREMENTS: &str = "tests/peers/grpc/requirements.txt";

const PACKAGES: &[Package] = &[Package { needs: Needs::Program("virtualenv"), debian: "virtualenv" }];

/// Installs what is missing, and anew when another version is asked for.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure(&[PACKAGES])?;
    let wanted = std::fs::read(shell::root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let installed = folder().join("requirements.txt");
    if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    shell::run(Command::new("virtualenv").arg("--quiet").arg(folder()))?;
    let mut install = Command::new(folder().join("bin/pip"));
    shell::run(install.args(["install", "--quiet", "--requirement"]).arg(shell::root().join(REQUIREMENTS)))?;
    // Last: it says that the rest is there.
    std::fs::write(&installed, wanted).context("the environment of gRPC's library")
}

/// The command, told where it is.
pub(crate) fn told(command: &mut Command) -> &mut Command {
    command.env(VARIABLE, folder().join("bin/python"))
}

/// Kept beside what is built.
fn folder() -> PathBuf {
    shell::target_dir().join("grpc-peer")
}
