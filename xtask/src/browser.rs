//! `cargo xtask browser`: JupyterLab in a real browser through the whole chain. Installs what that needs, which is much,
//! and therefore is no part of `cargo xtask test`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::packages::{self, Needs, Package};
use crate::shell;

/// Newer ones should do; this one did.
const JUPYTERLAB: &str = "jupyterlab==4.*";

const PACKAGES: &[Package] = &[
    Package { needs: Needs::Program("chromium"), debian: "chromium" },
    Package { needs: Needs::Program("chromedriver"), debian: "chromium-driver" },
    Package { needs: Needs::Program("virtualenv"), debian: "virtualenv" },
];

pub(crate) fn run() -> Result<()> {
    shell::step("system packages", || packages::ensure(&[packages::BUILD, packages::TEST, PACKAGES]))?;
    let environment = environment();
    if !environment.join("bin/jupyter-lab").exists() {
        shell::step("JupyterLab, in an environment of its own", || {
            shell::run(Command::new("virtualenv").arg("--quiet").arg(&environment))?;
            shell::run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", JUPYTERLAB]))
        })?;
    }
    let mut test = shell::cargo();
    test.args(["test", "--locked", "--package", "postern-tests", "--test", "e2e", "--", "browser::", "--nocapture"]);
    shell::run(test.env("POSTERN_TEST_JUPYTER", environment))
}

/// The environment is kept beside what is built.
fn environment() -> PathBuf {
    shell::target_dir().join("jupyter")
}
