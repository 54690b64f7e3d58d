//! A real browser and real applications (JupyterLab, a wiki in PHP, a desktop in the browser), and the tests that use them through
//! the whole chain.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::packages::{self, Needs, Package};
use crate::shell;

/// Newer ones should do; this one did.
const JUPYTERLAB: &str = "jupyterlab==4.*";
/// Tells the test where JupyterLab is.
const VARIABLE: &str = "POSTERN_TEST_JUPYTER";

const PACKAGES: &[Package] = &[
    Package { needs: Needs::Program("chromium"), debian: "chromium" },
    Package { needs: Needs::Program("chromedriver"), debian: "chromium-driver" },
    Package { needs: Needs::Program("virtualenv"), debian: "virtualenv" },
    Package { needs: Needs::Program("php"), debian: "php-cli" },
    Package { needs: Needs::File("/usr/share/dokuwiki/doku.php"), debian: "dokuwiki" },
    Package { needs: Needs::File("/usr/share/novnc/vnc_lite.html"), debian: "novnc" },
    Package { needs: Needs::File("/usr/bin/websockify"), debian: "websockify" },
    Package { needs: Needs::File("/usr/bin/Xtigervnc"), debian: "tigervnc-standalone-server" },
    Package { needs: Needs::File("/usr/bin/xterm"), debian: "xterm" },
];

/// `cargo xtask browser`: these tests alone.
pub(crate) fn run() -> Result<()> {
    shell::step("system packages", || packages::ensure(&[packages::BUILD, packages::TEST]))?;
    shell::step("Chromium, JupyterLab and other applications", prepare)?;
    let mut test = shell::cargo();
    test.args(["test", "--locked", "--package", "postern-tests", "--test", "e2e", "--", "browser::", "--nocapture"]);
    shell::run(with_jupyter(&mut test))
}

/// Installs what is missing: system packages, and JupyterLab in an environment of its own.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure(&[PACKAGES])?;
    let environment = environment();
    if !environment.join("bin/jupyter-lab").exists() {
        shell::run(Command::new("virtualenv").arg("--quiet").arg(&environment))?;
        shell::run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", JUPYTERLAB]))?;
    }
    Ok(())
}

/// The command, told where JupyterLab is.
pub(crate) fn with_jupyter(command: &mut Command) -> &mut Command {
    command.env(VARIABLE, environment())
}

/// The environment is kept beside what is built.
fn environment() -> PathBuf {
    shell::target_dir().join("jupyter")
}
