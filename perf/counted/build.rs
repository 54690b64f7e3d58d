//! Compiles what counts copies, and links it into the two daemons only: the pure work is counted in instructions, which its
//! plain copying would falsify.
#![forbid(unsafe_code)]

use std::path::PathBuf;

const COUNTING: &[&str] = &["postern-relay-counted", "postern-connector-counted"];

fn main() {
    println!("cargo:rerun-if-changed=src/copies.c");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write"));
    let mut build = cc::Build::new();
    // Otherwise the loop that copies may become a call of what it implements; clang does not know the second.
    build.flag_if_supported("-fno-builtin").flag_if_supported("-fno-tree-loop-distribute-patterns");
    build.file("src/copies.c").opt_level(2).cargo_metadata(false).compile("copies");
    for program in COUNTING {
        let archive = folder.join("libcopies.a").display().to_string();
        println!("cargo:rustc-link-arg-bin={program}=-Wl,--whole-archive,{archive},--no-whole-archive");
    }
}
