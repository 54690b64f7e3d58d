//! Heimdal: delegation is in its own database.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{APP, CONNECTOR, Kdc, LOGIN, OTHER, SECOND, USERS, answers, libraries, run};
use crate::process::Process;
use crate::world::free_address;

const REALM: &str = "HEIMDAL.TEST";

pub(super) fn start(root: &Path, folder: &Path) -> Result<Kdc> {
    std::fs::create_dir_all(folder)?;
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let (configuration, hosts_own) = (folder.join("kdc.conf"), folder.join("client.conf"));
    std::fs::write(&configuration, kdc_configuration(folder))?;
    let mut kdc = Kdc { processes: Vec::new(), domain: None, folder: folder.to_owned(), realm: REALM, address };
    kdc.write_client_configuration()?;
    let program = |path: &str| {
        let mut command = Command::new(root.join(path));
        command.env("LD_LIBRARY_PATH", libraries(root)).env("KRB5_CONFIG", &hosts_own);
        command
    };
    let admin = |arguments: &[&str]| {
        let mut command = program("usr/bin/kadmin.heimdal");
        run(command.args(["-l", "-r", REALM, "-c"]).arg(&configuration).args(arguments))
    };
    admin(&["init", "--realm-max-ticket-life=1day", "--realm-max-renewable-life=1week", REALM])?;
    for user in [USERS[0], USERS[1], SECOND] {
        admin(&["add", "--use-defaults", "--random-key", user])?;
    }
    admin(&["modify", "--attributes=+disallow-all-tix", USERS[1]])?;
    for service in [CONNECTOR, APP, OTHER, LOGIN] {
        admin(&["add", "--use-defaults", "--random-key", service])?;
    }
    admin(&["modify", "--attributes=+trusted-for-delegation", CONNECTOR])?;
    admin(&["modify", &format!("--constrained-delegation={APP}"), CONNECTOR])?;
    for (service, keytab) in kdc.keytabs() {
        admin(&["ext_keytab", "-k", &format!("FILE:{}", keytab.display()), service])?;
    }
    let mut command = program("usr/lib/heimdal-servers/kdc");
    command.arg(format!("--config-file={}", configuration.display()));
    command.arg("--addresses=127.0.0.1").arg(format!("--ports={}", address.port()));
    let mut process = Process::spawn("Heimdal's kdc", command, &folder.join("kdc.out"))?;
    answers(address, &mut process)?;
    kdc.processes.push(process);
    Ok(kdc)
}

fn kdc_configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[libdefaults]
  default_realm = {REALM}
[kdc]
  database = {{
    dbname = {folder}/heimdal
    realm = {REALM}
    mkey_file = {folder}/m-key
    log_file = {folder}/log
    acl_file = {folder}/kadmind.acl
  }}
[logging]
  kdc = 0-10/FILE:{folder}/kdc.log
  default = 0-10/FILE:{folder}/kdc.log
[kadmin]
  default_keys = aes256-cts-hmac-sha1-96:pw-salt
"
    )
}
