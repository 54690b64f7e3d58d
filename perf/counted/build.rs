//! Compiles what counts copies, and links it into the two daemons only: the pure work is counted in instructions, which its
//! plain copying would falsify.
#![forbid(unsafe_code)]

use std::path::PathBuf;

const COUNTING: &[&str] = &["postern-relay-counted", "postern-connector-counted"];

fn main() {
    println!("cargo:rerun-if-changed=src/copies.c");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write"));
    let mut build = cc::Build::new();
    build.file("src/copies.c").opt_level(2).flag("-fno-builtin").flag("-fno-tree-loop-distribute-patterns");
    build.warnings_into_errors(true).cargo_metadata(false).compile("copies");
    for program in COUNTING {
        let archive = folder.join("libcopies.a").display().to_string();
        println!("cargo:rustc-link-arg-bin={program}=-Wl,--whole-archive,{archive},--no-whole-archive");
    }
}
