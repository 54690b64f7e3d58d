//! Whether applications hang on one connector, where control answers on this host.

use std::path::Path;

use postern_model::admin::{Status, path};

use super::finding::Finding;
use crate::args::Common;
use crate::client::Client;

const CHECK: &str = "connectors";

/// Nothing is wrong where control is elsewhere, or is not for this user.
pub(super) fn look(common: &Common) -> Finding {
    let client = match Client::new(common) {
        Ok(client) => client,
        Err(error) => return Finding::ok(CHECK, format!("not looked at: {error}")),
    };
    match client.get::<Status>(path::STATUS) {
        Ok(status) => judged(&status.groups_on_one_connector, status.connectors_online),
        Err(_) => {
            let socket = client.socket();
            Finding::ok(CHECK, format!("not looked at: no postern-control answers this user at {}", shown(socket)))
        }
    }
}

fn shown(socket: &Path) -> String {
    socket.display().to_string()
}

fn judged(alone: &[String], online: u32) -> Finding {
    if alone.is_empty() {
        return Finding::ok(CHECK, format!("{online} online, and no group with applications has only one"));
    }
    let seen = format!("only one connector is online of: {}", alone.join(", "));
    Finding::warn(
        CHECK,
        seen,
        "have three for each group, on different hosts: applications are gone when the only one is",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::StepResult;

    #[test]
    fn a_group_on_one_connector_is_warned_about() {
        let alone = judged(&["hq".into(), "branch".into()], 2);
        assert!(
            alone.result == StepResult::Warn && alone.seen.contains("hq, branch") && alone.cure.contains("three"),
            "{alone:?}"
        );
        assert_eq!(judged(&[], 6).result, StepResult::Ok);
    }
}
