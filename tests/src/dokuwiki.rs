//! A real wiki in PHP as the private application: DokuWiki, with its pages and pictures in files. It believes `X-Forwarded-Proto`
//! and no `X-Forwarded-Host`.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Process;
use crate::{within, world};

const PROGRAM: &str = "/usr/share/dokuwiki";
const PLUGINS: &str = "/var/lib/dokuwiki/lib/plugins";
const CONFIGURATION: &str = "/etc/dokuwiki";
/// What Debian's package has of these is this machine's own.
const OWN: [&str; 3] = ["local.php", "acl.auth.php", "users.auth.php"];
const FOLDERS: [&str; 11] =
    ["attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "pages", "tmp"];

/// How it knows its users.
pub enum SignOn<'a> {
    /// It has a form and passwords of its own; this is one user's.
    Form { login: &'a str, password: &'a str },
    /// By `X-Postern-User`.
    Header,
}

/// How it is set up.
pub struct Setup<'a> {
    /// Where it is on its server: empty, or `/dokuwiki`.
    pub path: &'a str,
    /// Its pages hold whole URLs, as its server knows itself.
    pub absolute: bool,
    pub sign_on: SignOn<'a>,
}

pub struct DokuWiki {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    path: String,
}

/// Whether it is there, and PHP.
#[must_use]
pub fn is_there() -> bool {
    let php = Command::new("php").arg("--version").output().is_ok_and(|output| output.status.success());
    php && Path::new(PROGRAM).join("doku.php").exists()
}

impl DokuWiki {
    /// Serves on loopback; all of it is in `folder/NAME`.
    pub fn start(folder: &Path, name: &str, setup: &Setup<'_>) -> Result<DokuWiki> {
        let folder = folder.join(name);
        for data in FOLDERS {
            std::fs::create_dir_all(folder.join("data").join(data))?;
        }
        for other in ["conf", "plugins/authpostern", "sessions", "www"] {
            std::fs::create_dir_all(folder.join(other))?;
        }
        configure(&folder, setup)?;
        let root = if setup.path.is_empty() {
            PathBuf::from(PROGRAM)
        } else {
            symlink(PROGRAM, folder.join("www").join(setup.path.trim_matches('/')))?;
            folder.join("www")
        };
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        let mut command = Command::new("php");
        command.env("PHP_CLI_SERVER_WORKERS", "4");
        command.arg("-d").arg(format!("auto_prepend_file={}", folder.join("first.php").display()));
        command.arg("-d").arg(format!("session.save_path={}", folder.join("sessions").display()));
        command.args(["-S", &address.to_string(), "-t"]).arg(root);
        let mut process = Process::spawn(name, command, &folder.join("log"))?;
        if !within(Duration::from_secs(10), || TcpStream::connect(address).is_ok()) || !process.is_alive() {
            bail!("PHP does not start: {}", process.log_tail());
        }
        Ok(DokuWiki { process, address, folder, path: setup.path.to_owned() })
    }

    /// Where it is inside.
    pub fn url(&self) -> String {
        format!("http://{}{}/", self.address, self.path)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What a page, `team/rules`, holds.
    pub fn page(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("data/pages/{name}.txt"))).unwrap_or_default()
    }

    /// Where a picture, `team/seal.png`, is kept.
    pub fn media(&self, name: &str) -> PathBuf {
        self.folder.join("data/media").join(name)
    }
}

fn configure(folder: &Path, setup: &Setup<'_>) -> Result<()> {
    let conf = folder.join("conf");
    for entry in std::fs::read_dir(CONFIGURATION).context(CONFIGURATION)? {
        let entry = entry?;
        let name = entry.file_name();
        // Others are links to what only its own server may read.
        if entry.file_type()?.is_file() && !OWN.iter().any(|own| name == *own) {
            std::fs::copy(entry.path(), conf.join(&name))?;
        }
    }
    for entry in std::fs::read_dir(PLUGINS).context(PLUGINS)? {
        let entry = entry?;
        symlink(entry.path(), folder.join("plugins").join(entry.file_name()))?;
    }
    let plugin = folder.join("plugins/authpostern");
    std::fs::write(plugin.join("auth.php"), include_str!("../peers/dokuwiki/auth.php"))?;
    std::fs::write(plugin.join("plugin.info.txt"), include_str!("../peers/dokuwiki/plugin.info.txt"))?;

    let (own, users) = match setup.sign_on {
        SignOn::Form { login, password } => {
            ("authplain", format!("{login}:{}:Anna Berg:{login}@example.test:user\n", hashed(password)?))
        }
        SignOn::Header => ("authpostern", String::new()),
    };
    let shown = folder.display();
    let local = format!(
        "<?php\n$conf['title'] = 'Handbook';\n$conf['savedir'] = '{shown}/data';\n$conf['useacl'] = 1;\n\
         $conf['authtype'] = '{own}';\n$conf['canonical'] = {};\n$conf['updatecheck'] = 0;\n",
        u8::from(setup.absolute)
    );
    std::fs::write(conf.join("local.php"), local)?;
    // Everybody reads, users write and upload.
    std::fs::write(conf.join("acl.auth.php"), "# <?php exit()?>\n* @ALL 1\n* @user 8\n")?;
    std::fs::write(conf.join("users.auth.php"), format!("# <?php exit()?>\n{users}"))?;
    let first = format!(
        "<?php\ndefine('DOKU_CONF', '{shown}/conf/');\ndefine('DOKU_MAIN_CONF', '{shown}/conf/');\n\
         define('DOKU_PLUGIN', '{shown}/plugins/');\n"
    );
    Ok(std::fs::write(folder.join("first.php"), first)?)
}

/// As its own library makes it.
fn hashed(password: &str) -> Result<String> {
    let script = "echo password_hash($argv[1], PASSWORD_BCRYPT);";
    let output = Command::new("php").args(["-r", script, "--", password]).output().context("php")?;
    Ok(String::from_utf8(output.stdout)?)
}
