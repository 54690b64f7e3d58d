//! The workspace as designed: its members are its folders, and dependencies point one way.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Document, Finding};

/// Who may depend on whom, of the workspace's own crates. A crate that is not listed is not designed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("postern-model", &[]),
    ("postern-service", &["postern-model"]),
    ("postern-control", &["postern-model", "postern-service"]),
    ("postern-cli", &["postern-model", "postern-service", "postern-ebpf-loader"]),
    // Towards relays the identity process is a connector: it embeds one.
    ("postern-identity", &["postern-model", "postern-service", "postern-oidc", "postern-connector", "postern-sso"]),
    ("postern-oidc", &["postern-model"]),
    ("postern-io", &["postern-model"]),
    ("postern-http", &["postern-model"]),
    ("postern-tunnel", &["postern-model"]),
    (
        "postern-relay",
        &[
            "postern-model",
            "postern-service",
            "postern-io",
            "postern-http",
            "postern-tunnel",
            "postern-ebpf-loader",
            "postern-ebpf-common",
        ],
    ),
    (
        "postern-connector",
        &[
            "postern-model",
            "postern-service",
            "postern-sso",
            "postern-translate",
            "postern-io",
            "postern-http",
            "postern-tunnel",
        ],
    ),
    // Towards relays it is a connector without applications: it embeds one.
    ("postern-directory-sync", &["postern-model", "postern-service", "postern-connector"]),
    ("postern-sso", &[]),
    // Apart from the connector only because relays must not depend on what it depends on.
    ("postern-translate", &[]),
    ("postern-ebpf-common", &[]),
    ("postern-ebpf-loader", &["postern-ebpf-common"]),
    ("postern-ebpf-programs", &["postern-ebpf-common"]),
    ("postern-perf", EVERYTHING),
    ("postern-counted", EVERYTHING),
    ("postern-tests", EVERYTHING),
    ("postern-fuzz", EVERYTHING),
    ("postern-conformance", &[]),
    ("xtask", &[]),
];

const EVERYTHING: &[&str] = &["*"];

/// Bytes and `now` in, commands out: these neither open sockets nor read clocks.
const PURE: &[&str] = &["postern-model", "postern-http", "postern-tunnel", "postern-translate", "postern-ebpf-common"];
const IMPURE_DEPENDENCIES: &[&str] = &[
    "tokio",
    "nix",
    "libc",
    "socket2",
    "io-uring",
    "hyper",
    "hyper-util",
    "rusqlite",
    "mimalloc",
    "landlock",
    "tempfile",
    "clap",
    "anyhow",
];
const IMPURE_CALLS: &[&str] =
    &["Instant::now", "SystemTime::now", "std::fs", "std::env", "TcpStream", "UdpSocket", "thread::spawn"];

struct Crate {
    name: String,
    folder: String,
    dependencies: Vec<String>,
}

pub(super) fn check(root: &Path, documents: &[Document]) -> Result<Vec<Finding>> {
    let crates = crates(documents)?;
    let mut findings = members(root, &crates)?;
    for one in &crates {
        findings.extend(internal(one));
        if PURE.contains(&one.name.as_str()) {
            findings.extend(pure_dependencies(one));
            findings.extend(pure_calls(one, documents));
        }
    }
    Ok(findings)
}

fn crates(documents: &[Document]) -> Result<Vec<Crate>> {
    let mut crates = Vec::new();
    for document in documents {
        let Some(folder) = document.path.strip_suffix("/Cargo.toml") else {
            continue;
        };
        let table: toml::Table = document.text.parse().with_context(|| document.path.clone())?;
        crates.push(Crate {
            name: table["package"]["name"].as_str().unwrap_or_default().to_owned(),
            folder: folder.to_owned(),
            dependencies: dependencies(&table),
        });
    }
    Ok(crates)
}

/// Of the product itself: what only its tests need may be anything below it.
fn dependencies(table: &toml::Table) -> Vec<String> {
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| table.get(*kind)?.as_table())
        .flat_map(|dependencies| dependencies.keys().cloned())
        .collect()
}

/// The members listed in the workspace are the folders that have a manifest, those excluded apart.
fn members(root: &Path, crates: &[Crate]) -> Result<Vec<Finding>> {
    let text = std::fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let table: toml::Table = text.parse().context("Cargo.toml")?;
    let list = |key: &str| -> Vec<String> {
        let array = table["workspace"].get(key).and_then(toml::Value::as_array);
        array.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let (members, excluded) = (list("members"), list("exclude"));
    let mut findings = Vec::new();
    for one in crates {
        if !members.contains(&one.folder) && !excluded.contains(&one.folder) {
            findings.push(Finding::new(&one.folder, "a crate that the workspace neither lists nor excludes"));
        }
    }
    for member in members {
        if !crates.iter().any(|one| one.folder == member) {
            findings.push(Finding::new("Cargo.toml", format!("member {member} has no manifest")));
        }
    }
    Ok(findings)
}

fn internal(one: &Crate) -> Vec<Finding> {
    let table: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let place = format!("{}/Cargo.toml", one.folder);
    let Some(allowed) = table.get(one.name.as_str()) else {
        let what = format!("{} is not in the table of crates and their edges (xtask/src/tidy/edges.rs)", one.name);
        return vec![Finding::new(place, what)];
    };
    if *allowed == EVERYTHING {
        return Vec::new();
    }
    one.dependencies
        .iter()
        .filter(|name| table.contains_key(name.as_str()) && !allowed.contains(&name.as_str()))
        .map(|name| Finding::new(&place, format!("{} must not depend on {name}", one.name)))
        .collect()
}

fn pure_dependencies(one: &Crate) -> Vec<Finding> {
    one.dependencies
        .iter()
        .filter(|name| IMPURE_DEPENDENCIES.contains(&name.as_str()))
        .map(|name| {
            let what = format!("{} does no I/O: it must not depend on {name}", one.name);
            Finding::new(format!("{}/Cargo.toml", one.folder), what)
        })
        .collect()
}

fn pure_calls(one: &Crate, documents: &[Document]) -> Vec<Finding> {
    let folder = format!("{}/src/", one.folder);
    let mut findings = Vec::new();
    for document in documents {
        if !document.path.starts_with(&folder) || !document.is_rust() || is_test_file(&document.path) {
            continue;
        }
        let code = super::source::code_only(&document.text);
        for (number, line) in super::source::product_lines(&code) {
            for call in IMPURE_CALLS.iter().filter(|call| line.contains(**call)) {
                let place = format!("{}:{number}", document.path);
                findings
                    .push(Finding::new(place, format!("{} takes its time and I/O from outside: no {call}", one.name)));
            }
        }
    }
    findings
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    #[test]
    fn an_edge_against_the_design_is_found() {
        let manifests = [manifest(
            "dataplane/http/Cargo.toml",
            "[package]\nname = \"postern-http\"\n[dependencies]\npostern-tunnel.workspace = true\ntokio = \"1\"\n[dev-dependencies]\npostern-io = \"1\"\n",
        )];
        let crates = crates(&manifests).unwrap();
        assert_eq!(internal(&crates[0]).len(), 1);
        assert!(internal(&crates[0])[0].what.contains("postern-tunnel"));
        assert_eq!(pure_dependencies(&crates[0]).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_found() {
        let manifests = [manifest("x/Cargo.toml", "[package]\nname = \"postern-surprise\"\n")];
        assert_eq!(internal(&crates(&manifests).unwrap()[0]).len(), 1);
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found_but_not_in_its_tests() {
        let one = Crate { name: "postern-http".into(), folder: "dataplane/http".into(), dependencies: vec![] };
        let text = "// Instant::now in words\nfn f() { Instant::now(); }\n#[cfg(test)]\nmod tests { fn g() { Instant::now(); } }\n";
        let found = pure_calls(&one, &[manifest("dataplane/http/src/a.rs", text)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "dataplane/http/src/a.rs:2");
    }
}
