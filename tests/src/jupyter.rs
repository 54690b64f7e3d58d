//! JupyterLab as the private application: a real one that lives on WebSockets.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::{within, world};

/// Names a folder with a Python environment that has it: `cargo xtask browser`, and `cargo xtask test` as root or in CI, make
/// one and set this.
pub const FOLDER_VARIABLE: &str = "POSTERN_TEST_JUPYTER";

const NOTEBOOK: &str = r#"{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "metadata": {},
 "outputs": [], "source": "print('the answer is', 6 * 7)"}],
 "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
 "nbformat": 4, "nbformat_minor": 5}"#;

pub struct Jupyter {
    pub process: Process,
    address: SocketAddr,
}

/// Its program, if it is installed where [`FOLDER_VARIABLE`] says.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?).join("bin/jupyter-lab");
    program.exists().then_some(program)
}

impl Jupyter {
    /// Serves a folder with one notebook, `answer.ipynb`, without asking who comes.
    pub fn start(program: &Path, folder: &Path) -> Result<Jupyter> {
        Jupyter::start_with(program, folder, world::free_address(Ipv4Addr::LOCALHOST)?, "")
    }

    /// The same, to those only who know the password.
    pub fn start_with_password(program: &Path, folder: &Path, password: &str) -> Result<Jupyter> {
        Jupyter::start_with(program, folder, world::free_address(Ipv4Addr::LOCALHOST)?, password)
    }

    /// Starts it again with other keys: whoever was signed in is not any more.
    pub fn forget_everybody(&mut self, program: &Path, folder: &Path, password: &str) -> Result<()> {
        self.process.kill();
        *self = Jupyter::start_with(program, folder, self.address, password)?;
        Ok(())
    }

    fn start_with(program: &Path, folder: &Path, address: SocketAddr, password: &str) -> Result<Jupyter> {
        let folder = folder.join("jupyter");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("answer.ipynb"), NOTEBOOK)?;
        let mut command = Command::new(program);
        command.args(["--no-browser", "--allow-root", "--expose-app-in-browser", "--ip=127.0.0.1"]);
        command.args([format!("--port={}", address.port()), format!("--ServerApp.root_dir={}", folder.display())]);
        command.args(["--IdentityProvider.token=".to_owned(), hashed(program, password)?]);
        command.args(["--ServerApp.cookie_secret_file".to_owned(), folder.join("secret").display().to_string()]);
        let _ = std::fs::remove_file(folder.join("secret"));
        command.env("HOME", &folder).env("JUPYTER_PREFER_ENV_PATH", "1");
        let mut process = Process::spawn("jupyter-lab", command, &folder.join("log"))?;
        if !within(Duration::from_secs(60), || TcpStream::connect(address).is_ok()) || !process.is_alive() {
            bail!("JupyterLab does not start: {}", process.log_tail());
        }
        Ok(Jupyter { process, address })
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// As its own function makes it, which a file or the command line takes.
fn hashed(program: &Path, password: &str) -> Result<String> {
    if password.is_empty() {
        return Ok("--PasswordIdentityProvider.hashed_password=".into());
    }
    let python = program.with_file_name("python");
    let script = "import sys; from jupyter_server.auth import passwd; print(passwd(sys.argv[1], 'sha256'))";
    let output = Command::new(python).args(["-c", script, password]).output()?;
    Ok(format!("--PasswordIdentityProvider.hashed_password={}", String::from_utf8(output.stdout)?.trim()))
}
