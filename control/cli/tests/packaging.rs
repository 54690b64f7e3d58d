//! The systemd units are ones that systemd understands, and say what the programs rely on.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

use std::path::{Path, PathBuf};
use std::process::Command;

const UNITS: [&str; 5] = [
    "postern-control.service",
    "postern-relay.service",
    "postern-connector.service",
    "postern-identity.service",
    "postern-directory-sync.service",
];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(packaging().join("systemd").join(name)).unwrap()
}

/// The programs are not installed where tests run: another one stands in for them.
fn with_stand_in(text: &str) -> String {
    let mut replaced = String::new();
    for line in text.lines() {
        match line.strip_prefix("ExecStart=/usr/bin/postern-") {
            Some(rest) => {
                let arguments = rest.split_once(' ').map_or("", |(_, arguments)| arguments);
                replaced.push_str(&format!("ExecStart=/bin/true {arguments}\n"));
            }
            None => replaced.push_str(&format!("{line}\n")),
        }
    }
    assert!(replaced.contains("ExecStart=/bin/true --config /etc/postern/"));
    // The manual page is not installed either.
    replaced.replace("man:postern(1) ", "")
}

#[test]
fn systemd_finds_nothing_to_remark() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = UNITS
        .iter()
        .map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, with_stand_in(&unit(name))).unwrap();
            path
        })
        .collect();
    let verified = Command::new("systemd-analyze").arg("verify").args(&paths).output().unwrap();
    let remarks = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> = remarks.lines().filter(|line| line.contains("postern")).collect();
    assert!(ours.is_empty(), "{remarks}");
    assert!(verified.status.success(), "{remarks}");
}

#[test]
fn every_unit_is_confined_and_supervised() {
    for name in UNITS {
        let text = unit(name);
        for line in [
            "Type=notify",
            "WatchdogSec=30",
            "RestartPreventExitStatus=2",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "MemoryDenyWriteExecute=yes",
            "SystemCallArchitectures=native",
        ] {
            assert!(text.lines().any(|found| found == line), "{name} lacks {line}");
        }
    }
    // It reads what others write.
    assert!(unit("postern-directory-sync.service").contains("\nMemoryMax=1G\n"));
    for name in UNITS.iter().filter(|name| **name != "postern-relay.service") {
        assert!(unit(name).contains("StateDirectoryMode=0700"), "{name}");
        assert!(unit(name).lines().any(|line| line == "CapabilityBoundingSet="), "{name} needs no capability");
    }
}

#[test]
fn the_relay_state_is_the_dataplane_users() {
    let relay = unit("postern-relay.service");
    let folders = std::fs::read_to_string(packaging().join("tmpfiles.d/postern.conf")).unwrap();
    assert!(relay.contains("--state-dir /var/lib/postern/relay"));
    assert!(relay.contains("ReadWritePaths=/var/lib/postern/relay"));
    assert!(folders.contains("d /var/lib/postern/relay 0700 postern-relay postern-relay -"));
}

#[test]
fn each_program_finds_its_configuration_and_user() {
    let users = std::fs::read_to_string(packaging().join("sysusers.d/postern.conf")).unwrap();
    for program in ["control", "relay", "connector", "identity", "directory-sync"] {
        assert!(users.contains(&format!("u postern-{program} ")), "{program}");
        assert!(packaging().join(format!("etc/{program}.toml")).exists(), "{program}");
        assert!(unit(&format!("postern-{program}.service")).contains(&format!("/etc/postern/{program}.toml")));
    }
}

/// Examples in help and documents name the folders and the socket of the units, so that what is copied works.
#[test]
fn every_path_in_help_and_documents_is_a_units_path() {
    let root = packaging().join("..");
    let places = ["README.md", "docs", "packaging", "control", "connector", "dataplane/relay"];
    let mut seen = 0;
    for text in places.iter().flat_map(|place| texts(&root.join(place))) {
        for prefix in ["/var/lib/postern", "/run/postern"] {
            for (at, _) in text.1.match_indices(prefix) {
                let path: &str =
                    text.1[at..].split(|c: char| !c.is_ascii_alphanumeric() && !"/.-_".contains(c)).next().unwrap();
                let known = KNOWN_PATHS.contains(&path.trim_end_matches(['.', '/']));
                assert!(known, "{}: {path}", text.0.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "the examples have moved: {seen}");
}

#[test]
fn rules_and_rotation_are_accepted_by_the_programs_that_read_them() {
    let accepted = |program: &str, arguments: &[&str], file: &str| {
        let path = packaging().join(file);
        match Command::new(program).args(arguments).arg(&path).output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&said));
            }
            Err(_) => eprintln!("{program} is not installed: {file} is only read"),
        }
        assert!(std::fs::read_to_string(path).unwrap().len() > 100, "{file}");
    };
    accepted("promtool", &["check", "rules"], "prometheus/postern.rules.yml");
    accepted("logrotate", &["--debug", "--state", "/dev/null"], "logrotate.d/postern");
}

/// The units' folders and socket; `/var/lib/postern/PROGRAM` stands for all.
const KNOWN_PATHS: [&str; 10] = [
    "/var/lib/postern/directory-sync",
    "/var/lib/postern",
    "/var/lib/postern/PROGRAM",
    "/var/lib/postern/control",
    "/var/lib/postern/relay",
    "/var/lib/postern/relay/access.log",
    "/var/lib/postern/connector",
    "/var/lib/postern/identity",
    "/run/postern",
    "/run/postern/control/admin.sock",
];

/// A file, or all files below a folder that people or programs read, this test apart.
fn texts(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_file() {
        let read =
            ["md", "rs", "toml", "service", "conf"].iter().any(|kind| path.extension().is_some_and(|e| e == *kind));
        return match read && !path.ends_with("tests/packaging.rs") {
            true => vec![(path.to_owned(), std::fs::read_to_string(path).unwrap())],
            false => Vec::new(),
        };
    }
    std::fs::read_dir(path).unwrap().flat_map(|entry| texts(&entry.unwrap().path())).collect()
}
