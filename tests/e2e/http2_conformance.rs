//! The httpwg suite (RFC 9113) against the relay: every case, and for each that fails why that is right or nobody's harm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use postern_tests::origin::Origin;
use postern_tests::world::World;

/// The h2 library closes the connection, as it should, but with PROTOCOL_ERROR as its reason; the suite wants the more
/// telling code that the RFC names. Nobody but a log reads it.
const CODE: &str = "closed with PROTOCOL_ERROR instead of a more telling code";
/// RFC 9113 §8.1.1 lets a server answer before it closes the stream: a person or program learns more from a 400 that says
/// what is wrong than from a reset. Nothing of the request goes further.
const ANSWERED: &str = "answered with 400 instead of a reset";
/// The h2 library drops the pseudo field: it reaches no application.
const DROPPED: &str = "a pseudo field among trailers is dropped, not refused";

const EXPECTED: &[(&str, &str)] = &[
    ("4. http frames: invalid header block fragment", CODE),
    ("5. streams and multiplexing: closed sends headers frame", CODE),
    ("5. streams and multiplexing: closed sends headers frame after rst stream", CODE),
    ("5. streams and multiplexing: half closed remote sends data frame", CODE),
    ("5. streams and multiplexing: half closed remote sends headers frame", CODE),
    ("6. frame definitions: sends settings initial window size with exceeded max window size value", CODE),
    ("6. frame definitions: sends settings initial window size with invalid value", CODE),
    ("8. expressing http semantics in http2: sends connect without authority", ANSWERED),
    ("8. expressing http semantics in http2: sends headers frame with leading space in field value", ANSWERED),
    ("8. expressing http semantics in http2: sends headers frame with mismatched host authority", ANSWERED),
    ("8. expressing http semantics in http2: sends headers frame with trailing tab in field value", ANSWERED),
    ("8. expressing http semantics in http2: sends headers frame with pseudo header in trailer", DROPPED),
];

/// Whether the code or the end of the connection is seen first is a matter of time: these pass or fail.
const EITHER: &[(&str, &str)] = &[("6. frame definitions: sends data frame on invalid stream state", CODE)];

/// What the suite has in all.
const CASES: usize = 107;

#[test]
fn every_case_passes_or_is_explained() {
    let runner = build();
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let (host, _) = client.host.split_once(':').unwrap();
    let output = Command::new(runner)
        .args([world.relay_address.to_string().as_str(), host])
        .arg(world.authority())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), world.logs());
    let failed: BTreeMap<&str, &str> =
        said.lines().filter_map(|line| line.strip_prefix("failed ")).map(split).collect();
    let passed = said.lines().filter(|line| line.starts_with("passed ")).count();
    eprintln!("{passed} of {CASES} cases pass");
    assert_eq!(passed + failed.len(), CASES, "{said}");
    let explained = EXPECTED.iter().chain(EITHER);
    let unexplained: Vec<_> =
        failed.iter().filter(|(case, _)| !explained.clone().any(|(expected, _)| expected == *case)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let passing: Vec<_> = EXPECTED.iter().filter(|(case, _)| !failed.contains_key(case)).collect();
    assert!(passing.is_empty(), "these pass now; take them off the list: {passing:#?}");
    assert_eq!(client.get("/bytes/10").unwrap().status, 200);
}

/// `SECTION: CASE: why`.
fn split(line: &str) -> (&str, &str) {
    let section = line.find(": ").map_or(line.len(), |at| at + 2);
    let case = line[section..].find(": ").map_or(line.len(), |at| section + at);
    (&line[..case], line[case..].trim_start_matches(": "))
}

/// Builds the runner beside the other programs. It is a workspace of its own.
fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let binary = std::env::current_exe().unwrap();
    let target = binary.ancestors().nth(3).unwrap().join("conformance");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success(), "the conformance suite cannot be built");
    target.join("debug/postern-conformance")
}
