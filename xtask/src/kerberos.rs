//! What tests of single sign-on by Kerberos need: the library to build with, an Apache that demands Negotiate, two KDCs, and a
//! domain controller, which are unpacked beside what is built: installed they would run, for the whole machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Needs, Package};
use crate::shell;

/// Tells the tests where the KDCs and the programs built with Kerberos are.
const VARIABLE: &str = "POSTERN_TEST_KERBEROS";

const fn file(path: &'static str, debian: &'static str) -> Package {
    Package { needs: Needs::File(path), debian }
}

const PACKAGES: &[Package] = &[
    file("/usr/include/gssapi/gssapi.h", "libkrb5-dev"),
    file("/usr/share/doc/libclang-dev", "libclang-dev"),
    file("/usr/sbin/apache2", "apache2-bin"),
    file("/usr/lib/apache2/modules/mod_auth_gssapi.so", "libapache2-mod-auth-gssapi"),
    file("/usr/bin/gzip", "gzip"),
    // Samba's tool is written in it.
    file("/usr/bin/python3", "python3"),
];

/// What is unpacked: its packages, and how the libraries are called that only they need.
struct Peer {
    name: &'static str,
    packages: &'static [&'static str],
    libraries: &'static [&'static str],
    /// Is there when all is.
    proof: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "heimdal",
        packages: &["heimdal-kdc", "heimdal-clients"],
        libraries: &["-heimdal"],
        proof: "usr/lib/heimdal-servers/kdc",
    },
    Peer {
        name: "mit",
        packages: &["krb5-kdc", "krb5-kdc-ldap", "krb5-admin-server", "slapd", "ldap-utils"],
        libraries: &["libverto", "libev4", "libltdl7", "libwrap0", "libldap", "libkadm5", "libkdb5", "libgssrpc4"],
        proof: "usr/sbin/slapd",
    },
    // LDAP and KDC of a domain as Active Directory's are.
    Peer {
        name: "samba",
        packages: &[
            "samba",
            "samba-ad-dc",
            "samba-ad-provision",
            "samba-common",
            "samba-common-bin",
            "samba-dsdb-modules",
            "samba-libs",
            "samba-vfs-modules",
            "ldb-tools",
            "python3-dnspython",
            "python3-ldb",
            "python3-samba",
            "python3-talloc",
            "python3-tdb",
        ],
        libraries: SAMBA_LIBRARIES,
        proof: "usr/sbin/samba",
    },
    // For an application whose clock is wrong.
    Peer { name: "clock", packages: &["libfaketime"], libraries: &[], proof: "usr/share/doc/libfaketime" },
];

const SAMBA_LIBRARIES: &[&str] = &[
    "libarchive13",
    "libassuan",
    "libavahi-c",
    "libbsd0",
    "libcups2",
    "libdbus-1-3",
    "libgpgme",
    "libicu",
    "libjansson",
    "libldap",
    "libldb",
    "liblmdb",
    "libmd0",
    "libpopt",
    // Without the standard library, which is the system's.
    "python3.11",
    "python3.12",
    "python3.13",
    "libsasl2-2",
    "libtalloc",
    "libtdb",
    "libtevent",
    "liburing",
    "libwbclient",
    "libxml2",
];

/// `cargo xtask kerberos`: these tests alone.
pub(crate) fn run() -> Result<()> {
    shell::step("system packages", || packages::ensure(&[packages::BUILD, packages::TEST]))?;
    shell::step("KDCs, and the programs with Kerberos", prepare)?;
    let mut test = shell::cargo();
    test.args(["test", "--locked", "--package", "postern-tests", "--test", "e2e", "--", "kerberos::", "--nocapture"]);
    shell::run(with_kdcs(&mut test))
}

/// Unpacks the KDCs where they are missing, and builds and tests what is compiled with Kerberos.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure(&[PACKAGES])?;
    for peer in PEERS {
        peer.unpack().with_context(|| format!("unpacking {}", peer.name))?;
    }
    let packages = ["postern-connector", "postern-identity", "postern-sso"].map(|name| ["--package", name]);
    let features = ["--features", "postern-connector/kerberos,postern-identity/kerberos"];
    let cargo = |arguments: &[&str]| {
        let mut command = shell::cargo();
        command.args(arguments).args(packages.as_flattened()).args(features);
        command
    };
    shell::run(cargo(&["clippy", "--quiet", "--locked", "--all-targets"]).args(["--", "-D", "warnings"]))?;
    shell::run(&mut cargo(&["test", "--quiet", "--locked", "--lib"]))?;
    shell::run(&mut cargo(&["build", "--quiet", "--locked", "--bins"]))?;
    // Whoever builds without Kerberos next replaces them.
    let bin = folder().join("bin");
    std::fs::create_dir_all(&bin)?;
    for program in ["postern-connector", "postern-identity", "postern-kerberos-check"] {
        let built = shell::target_dir().join("debug").join(program);
        std::fs::copy(&built, bin.join(program)).with_context(|| built.display().to_string())?;
    }
    Ok(())
}

/// The command, told where they are.
pub(crate) fn with_kdcs(command: &mut Command) -> &mut Command {
    command.env(VARIABLE, folder())
}

fn folder() -> PathBuf {
    shell::target_dir().join("kerberos")
}

impl Peer {
    fn unpack(&self) -> Result<()> {
        let root = folder().join(self.name);
        if root.join(self.proof).exists() {
            return Ok(());
        }
        let archives = folder().join(format!("{}-packages", self.name));
        std::fs::create_dir_all(&archives)?;
        let mut download = Command::new("apt-get");
        // Its sandbox's user may not write here, and is not needed: what comes is signed.
        download.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(self.needed()?).current_dir(&archives);
        shell::run(&mut download)?;
        // What proves that all is there comes last.
        let unpacked = folder().join(format!("{}-unpacking", self.name));
        for entry in std::fs::read_dir(&archives)? {
            unpack(&entry?.path(), &unpacked)?;
        }
        Ok(std::fs::rename(&unpacked, &root)?)
    }

    /// Its packages and their own libraries, by what the package lists say.
    fn needed(&self) -> Result<BTreeSet<String>> {
        let mut depends = Command::new("apt-cache");
        depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]);
        depends.args(["--no-replaces", "--no-enhances"]).args(self.packages);
        let listed = shell::output(&mut depends)?;
        let is_own = |name: &str| {
            let library = |part: &&str| name.starts_with("lib") && (name.starts_with(*part) || name.ends_with(*part));
            self.libraries.iter().any(library) && !name.contains(':') && !name.ends_with("-dev")
        };
        // Those that others depend on stand at a line's beginning; virtual ones in angle brackets.
        let names = listed.lines().filter(|line| is_own(line)).map(str::to_owned);
        Ok(names.chain(self.packages.iter().map(|name| (*name).to_owned())).collect())
    }
}

fn unpack(archive: &Path, root: &Path) -> Result<()> {
    shell::run(Command::new("dpkg").arg("--extract").arg(archive).arg(root))
}
