//! `postern init`.

use anyhow::Result;
use postern_model::admin::{Initialised, path};

use super::Context;
use crate::output::details;

pub(super) fn run(context: &Context) -> Result<()> {
    let made: Initialised = context.client.post(path::INIT, &serde_json::json!({}))?;
    context.output.show(&made, table)
}

fn table(made: &Initialised) -> String {
    let happened = if made.fresh { "initialised" } else { "was initialised before" };
    let next = "\nNext: postern relay add NAME HOST:PORT, then postern connector token --out FILE\n";
    let fields = details(&[
        ("state folder", format!("{} ({happened})", made.state_dir)),
        ("trust anchor", format!("{} (for postern-relay --trust-anchor)", made.ca_file)),
        ("  sha256", made.ca_sha256.clone()),
        ("web authority", format!("{} (for browsers, where no certificate is given)", made.web_ca_file)),
        ("  sha256", made.web_ca_sha256.clone()),
        ("tenant", made.tenant.to_string()),
        ("connector group", made.group.to_string()),
    ]);
    fields + next
}
