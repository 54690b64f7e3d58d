//! Programs in Python that tests speak to, each set of packages in an environment of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages::{self, Needs, Package};
use crate::shell;

/// What is in one environment.
pub(crate) struct Environment {
    /// Names the Python that has it to the tests.
    variable: &'static str,
    requirements: &'static str,
    /// Beside what is built.
    folder: &'static str,
}

/// gRPC's own library: grpcio, as service and as client.
pub(crate) const GRPC: Environment = Environment {
    variable: "POSTERN_TEST_GRPC",
    requirements: "tests/peers/grpc/requirements.txt",
    folder: "grpc-peer",
};

/// A checker of the SCIM standard: scim2-tester.
pub(crate) const SCIM_CHECKER: Environment = Environment {
    variable: "POSTERN_TEST_SCIM_CHECKER",
    requirements: "tests/peers/scim/requirements.txt",
    folder: "scim-checker",
};

const PACKAGES: &[Package] = &[Package { needs: Needs::Program("virtualenv"), debian: "virtualenv" }];

impl Environment {
    /// Installs what is missing, and anew when other versions are asked for.
    pub(crate) fn prepare(&self) -> Result<()> {
        packages::ensure(&[PACKAGES])?;
        let requirements = shell::root().join(self.requirements);
        let wanted = std::fs::read(&requirements).context(self.requirements)?;
        let folder = self.folder();
        let installed = folder.join("requirements.txt");
        if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        shell::run(Command::new("virtualenv").arg("--quiet").arg(&folder))?;
        let mut install = Command::new(folder.join("bin/pip"));
        shell::run(install.args(["install", "--quiet", "--requirement"]).arg(&requirements))?;
        // Last: it says that the rest is there.
        std::fs::write(&installed, wanted).with_context(|| installed.display().to_string())
    }

    /// The command, told where it is.
    pub(crate) fn told<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(self.variable, self.folder().join("bin/python"))
    }

    fn folder(&self) -> PathBuf {
        shell::target_dir().join(self.folder)
    }
}
