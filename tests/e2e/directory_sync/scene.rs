//! A source, the process that reads it, and what control makes of it.

use postern_tests::openldap::{self, OpenLdap};
use postern_tests::process::Process;
use postern_tests::samba::{self, BASE, Domain};
use postern_tests::world::{World, write_secret};
use postern_tests::{pass_over, programs};
use serde_json::Value;

use super::PEOPLE;

/// Of a directory's kind.
pub(super) struct Scene<D> {
    /// First, so that it ends before what it dials.
    pub(super) sync: Option<Process>,
    pub(super) world: World,
    pub(super) ldap: D,
}

impl Scene<OpenLdap> {
    /// With a source that is read only when it is asked to be: changes are looked for once an hour. `None` without OpenLDAP.
    pub(super) fn start(more: &[&str]) -> Option<Self> {
        let Some(root) = openldap::root() else {
            pass_over("there is no OpenLDAP");
            return None;
        };
        let world = World::usual().unwrap();
        let ldap = OpenLdap::start(&root, &world.path("")).unwrap();
        let words = ["--kind", "ldap", "--users-base", PEOPLE, "--groups-base", "ou=groups,dc=example,dc=test"];
        let arguments = ldap.arguments(&ldap.ldaps_url());
        Some(Scene { sync: None, world, ldap }.follow(&[&words[..], more].concat(), &arguments))
    }

    pub(super) fn modify(&self, uid: &str, changes: &str) {
        self.ldap.change(&format!("dn: uid={uid},{PEOPLE}\nchangetype: modify\n{changes}")).unwrap();
    }
}

impl Scene<Domain> {
    /// The same of a domain with `OU=People` and `OU=Groups`. `None` without Samba, or where it cannot run.
    pub(super) fn of_a_domain(subnet: u8) -> Option<Self> {
        let Some(root) = samba::root() else {
            pass_over("a domain of Samba needs root, iproute2 and what `cargo xtask kerberos` unpacks");
            return None;
        };
        let world = World::usual().unwrap();
        let ldap = Domain::start(&root, &world.path(""), subnet).unwrap();
        for unit in ["OU=People", "OU=Groups"] {
            ldap.tool(&format!("ou add {unit}")).unwrap();
        }
        let [users, groups] = ["People", "Groups"].map(|unit| format!("OU={unit},{BASE}"));
        let words = ["--kind", "active-directory", "--users-base", &users, "--groups-base", &groups];
        let arguments = ldap.arguments(&ldap.ldaps_url());
        Some(Scene { sync: None, world, ldap }.follow(&words, &arguments))
    }

    /// What a line of `samba-tool` says for each of these.
    pub(super) fn tool(&self, lines: &[&str]) {
        for line in lines {
            self.ldap.tool(line).unwrap();
        }
    }
}

impl<D> Scene<D> {
    fn follow(mut self, source: &[&str], arguments: &[String]) -> Self {
        let words = ["directory-sync", "add", "corp", "--interval", "1h", "--full-every", "1h"];
        self.world.cli(&[&words[..], source].concat()).unwrap();
        let token = self.world.token("directory-sync-corp").unwrap();
        write_secret(&self.world.path("token-sync"), &token).unwrap();
        self.restart(arguments);
        // The process reads once when it starts: over before a test fills the directory, so that counts are of what is asked for.
        self.run();
        self
    }

    pub(super) fn restart(&mut self, arguments: &[String]) {
        self.sync = None;
        let mut command = programs::command("postern-directory-sync");
        command.args(["--relay", &self.world.relay_address.to_string(), "--grace-period", "2"]);
        command.arg("--token-file").arg(self.world.path("token-sync"));
        command.arg("--state-dir").arg(self.world.path("directory-sync")).args(arguments);
        let log = self.world.path("directory-sync.log");
        self.sync = Some(Process::spawn("postern-directory-sync", command, &log).unwrap());
    }

    /// A whole pass: what became of it.
    pub(super) fn run(&self) -> Value {
        self.run_with(&[])
    }

    pub(super) fn run_with(&self, more: &[&str]) -> Value {
        let words = ["directory-sync", "run", "corp", "--wait", "120s"];
        // A pass that failed makes it fail, and is shown all the same.
        self.world.cli_output(&[&words, more].concat()).unwrap();
        let status = self.world.json(&["directory-sync", "status", "corp"]).unwrap();
        let log = self.sync.as_ref().map(Process::log_tail);
        assert!(status["last"].is_object(), "no pass: {status}\n{log:?}\n{}", self.world.logs());
        status["last"].clone()
    }

    pub(super) fn user(&self, name: &str) -> Value {
        self.world.json(&["user", "show", name]).unwrap_or_default()
    }

    /// The groups somebody is in, those in groups included.
    pub(super) fn groups_of(&self, name: &str) -> Vec<String> {
        let user = self.user(name);
        let names = user["groups"].as_array().into_iter().flatten();
        names.map(|group| group["name"].as_str().unwrap().to_owned()).collect()
    }
}
