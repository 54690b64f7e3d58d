//! Operators ask whether a provider can be used; an identity process, which is who must reach it, finds out.

use std::collections::BTreeMap;

use postern_model::admin::{Problem, ProviderProbe};
use postern_model::config::Tenant;
use postern_model::external::{Kept, Probed, Probes};
use postern_model::identity::Refused;
use postern_model::ids::{Name, TenantId};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::grant;
use crate::control::Control;
use crate::idps;
use crate::limits::{PROBE_TIMEOUT, PROBES_MAX};
use crate::problem::problem;

/// Who waits for what, and whether an identity process was told.
#[derive(Default)]
pub(super) struct Asked(BTreeMap<(TenantId, Name), One>);

#[derive(Default)]
struct One {
    told: bool,
    waiting: Vec<oneshot::Sender<Option<Refused>>>,
}

/// `idp probe`.
pub(crate) async fn probe(control: &Control, tenant: &Tenant, name: &str) -> Result<ProviderProbe, Problem> {
    let name = idps::find(control, tenant, name)?.name;
    let (answer, answered) = oneshot::channel();
    {
        let asked = &mut control.sign_ins.borrow_mut().external.probes.0;
        asked.retain(|_, one| one.waiting.iter().any(|waiting| !waiting.is_closed()));
        let one = asked.entry((tenant.id, name.clone())).or_default();
        if one.waiting.len() >= PROBES_MAX {
            return Err(problem("limit-reached", format!("{PROBES_MAX} others ask the same already")));
        }
        one.waiting.push(answer);
    }
    match timeout(PROBE_TIMEOUT, answered).await {
        Ok(Ok(failed)) => Ok(ProviderProbe {
            name,
            usable: failed.is_none(),
            code: failed.as_ref().map(|failed| failed.code.clone()),
            detail: failed.map(|failed| failed.detail),
        }),
        Ok(Err(_)) | Err(_) => {
            let waited = PROBE_TIMEOUT.as_secs();
            let detail = format!("no identity process answered within {waited} s: look at `postern identity show`");
            Err(problem("sign-in-unavailable", detail))
        }
    }
}

/// An identity process asks what there is to find out: each is told to one.
pub(crate) fn asked(control: &Control) -> Probes {
    let mut keys = Vec::new();
    for (key, one) in &mut control.sign_ins.borrow_mut().external.probes.0 {
        if !std::mem::replace(&mut one.told, true) {
            keys.push(key.clone());
        }
    }
    let found = keys
        .into_iter()
        .filter_map(|(tenant, name)| control.providers(|store| store.provider(tenant, &name)).ok().flatten());
    Probes { items: found.filter_map(|provider| grant(control, provider)).collect() }
}

/// It found out.
pub(crate) fn answered(control: &Control, request: Probed) -> Kept {
    let Probed { tenant, provider, failed } = request;
    let one = control.sign_ins.borrow_mut().external.probes.0.remove(&(tenant, provider));
    let waiting = one.map(|one| one.waiting).unwrap_or_default();
    let kept = waiting.into_iter().filter_map(|waiting| waiting.send(failed.clone()).ok()).count() > 0;
    Kept { kept }
}
