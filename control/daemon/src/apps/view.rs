//! An application as operators see it, with what relays say of it.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::admin::AppView;
use postern_model::config::App;
use postern_model::ids::{AppId, GroupId};

use crate::control::Control;
use crate::fleet::by_group;
use crate::{certificates, tenants};

/// What relays said last, as far as applications are concerned.
pub(super) struct Observed {
    online: BTreeMap<GroupId, u32>,
    corporate: BTreeMap<AppId, BTreeMap<String, u64>>,
}

impl Observed {
    pub(super) fn now(control: &Control, snapshot: &Snapshot) -> Self {
        let corporate = control.fleet.borrow().corporate();
        Self { online: online_by_group(control, snapshot), corporate }
    }
}

pub(super) fn view(snapshot: &Snapshot, app: &App, observed: &Observed) -> AppView {
    AppView {
        id: app.id,
        name: app.name.clone(),
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        cname_target: cname_target(snapshot, app),
        preauth: app.preauth,
        group: tenants::group_name(snapshot, app.group),
        connectors_online: observed.online.get(&app.group).copied().unwrap_or(0),
        certificate: certificates::view(snapshot, app.certificate),
        settings: app.settings.clone(),
        corporate_requests: observed.corporate.get(&app.id).cloned().unwrap_or_default(),
    }
}

/// Wildcards, too, have one: in DNS it leads to the relays as every other does.
fn cname_target(snapshot: &Snapshot, app: &App) -> Option<String> {
    let suffix = snapshot.tenants.get(&app.id.tenant)?.app_suffix.as_deref()?;
    Some(format!("{}.{suffix}", app.name))
}

/// Connectors online, by group.
pub(crate) fn online_by_group(control: &Control, snapshot: &Snapshot) -> BTreeMap<GroupId, u32> {
    let online = control.fleet.borrow().online();
    by_group(online.iter().filter_map(|id| Some(snapshot.connectors.get(id)?.group)))
}
