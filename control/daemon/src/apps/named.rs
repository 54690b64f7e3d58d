//! Users and groups that an application's settings name. Nobody need have such a name; whoever sets it is told.

use postern_model::config::App;
use postern_model::settings::{Approver, PortalSettings, Visible};

use crate::access_requests::requestable;
use crate::control::Control;
use crate::directory::{find_group, find_user};

/// A line for each that nobody has.
pub(super) fn unknown(control: &Control, app: &App) -> Vec<String> {
    let Some(tenant) = control.snapshot().tenants.get(&app.id.tenant).cloned() else { return Vec::new() };
    let request = requestable(app).unwrap_or_default();
    let approvers = request.approvers.iter().filter_map(|approver| match approver {
        Approver::User(login) => find_user(control, &tenant, login.as_str()).err(),
        Approver::Group(name) => find_group(control, &tenant, name.as_str()).err(),
    });
    let shown_to = match PortalSettings::parse(&app.settings).unwrap_or_default().visible {
        Some(Visible::Groups(groups)) => groups,
        Some(Visible::All | Visible::Nobody) | None => Vec::new(),
    };
    let groups = request.group.iter().chain(&shown_to);
    let groups = groups.filter_map(|name| find_group(control, &tenant, name.as_str()).err());
    approvers.chain(groups).map(|problem| format!("{}: in its settings, {}", app.name, problem.detail)).collect()
}
