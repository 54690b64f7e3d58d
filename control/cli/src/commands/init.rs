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
    let fields = details(&[
        ("state folder", format!("{} ({happened})", made.state_dir)),
        ("trust anchor", format!("{} (for postern-relay --trust-anchor)", made.ca_file)),
        ("  sha256", made.ca_sha256.clone()),
        ("web authority", format!("{} (for browsers, where no certificate is given)", made.web_ca_file)),
        ("  sha256", made.web_ca_sha256.clone()),
        ("tenant", made.tenant.to_string()),
        ("connector group", made.group.to_string()),
    ]);
    fields + NEXT
}

/// A relay beside control needs no `relay add`.
const NEXT: &str = "
Next: a relay. On this host postern-relay --control unix:ADMIN_SOCKET; elsewhere postern relay add NAME HOST:PORT.
Then postern connector token --out FILE
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_a_relay_are_named() {
        let made: Initialised = serde_json::from_value(serde_json::json!({
            "state_dir": "/s", "ca_file": "/s/ca.pem", "ca_sha256": "ab", "web_ca_file": "/s/web.pem", "web_ca_sha256": "cd",
            "tenant": "default", "group": "default", "fresh": true, "initialised_unix_ms": 1,
        }))
        .unwrap();
        let told = table(&made);
        assert!(told.contains("--control unix:") && told.contains("postern relay add"), "{told}");
    }
}
