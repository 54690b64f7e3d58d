//! `postern completions` and `postern man`.

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use postern_service::failure::Failure;

use crate::args::Args;
use crate::output::print;

pub(super) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "postern", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man_pages(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Args::command(), dir))
        .map_err(|error| Failure::new(format!("cannot write manual pages to {}: {error}", dir.display())).into())
}
