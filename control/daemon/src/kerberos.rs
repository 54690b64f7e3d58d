//! Signing in by Kerberos tickets, as operators set it: whose, and where browsers are asked. Control sees no ticket and no key.

use postern_model::Snapshot;
use postern_model::admin::{Changed, Problem};
use postern_model::config::Tenant;
use postern_model::ids::{ConnectorId, Name, TenantId};
use postern_model::negotiate::KerberosSignIn;
use postern_model::network::NetworkKey;
use postern_model::plan::PlannedApp;

use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::{not_found_among, problem};
use crate::store::{Kerberos, ProviderChange, StoreError};
use crate::tenants::group_name;

impl Control {
    /// Asks about signing in by Kerberos.
    pub(crate) fn kerberos<T>(
        &self,
        ask: impl FnOnce(&mut dyn Kerberos) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("signing in by Kerberos", |store| ask(store))
    }
}

/// `identity kerberos show`.
pub(crate) fn show(control: &Control, tenant: &Tenant) -> Result<KerberosSignIn, Problem> {
    let none = || {
        let detail = "nobody signs in by Kerberos: postern identity kerberos set --realm REALM --network NAME";
        problem("not-found", detail)
    };
    control.kerberos(|store| store.kerberos(tenant.id))?.ok_or_else(none)
}

/// `identity kerberos set`: as a whole.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    settings: KerberosSignIn,
) -> Result<Changed, Problem> {
    settings.check().map_err(|error| problem("request-invalid", error.to_string()))?;
    let published = {
        let snapshot = control.snapshot();
        for name in &settings.networks {
            let key = NetworkKey { tenant: tenant.id, name: name.clone() };
            if !snapshot.networks.contains_key(&key) {
                let own = snapshot.networks.keys().filter(|key| key.tenant == tenant.id).map(|key| key.name.as_str());
                return Err(not_found_among("network", name.as_str(), own.collect::<Vec<_>>()));
            }
            if snapshot.networks.get(&key).is_some_and(|network| network.anonymiser) {
                let detail = format!("{name} is a list of anonymisers: name networks where people have tickets");
                return Err(problem("request-invalid", detail).about("networks"));
            }
        }
        snapshot.identity.is_some()
    };
    let before = control.kerberos(|store| store.kerberos(tenant.id))?;
    let mut draft = Draft::default();
    draft.audit(Audit {
        before: before.as_ref().map(summary),
        after: Some(summary(&settings)),
        ..audit("identity.kerberos.set", tenant)
    });
    draft.provider(ProviderChange::Kerberos(tenant.id, Some(Box::new(settings))));
    let version = control.commit(actor, draft)?;
    let nowhere = "people sign in nowhere yet: postern identity publish --external https://HOST/";
    Ok(Changed { version, warnings: (!published).then(|| nowhere.to_owned()).into_iter().collect() })
}

/// `apply`: it shall be exactly so. Gives what an operator should know if it was not.
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    settings: &KerberosSignIn,
) -> Result<Vec<String>, Problem> {
    if entry(control, tenant.id)?.as_ref() == Some(settings) {
        return Ok(Vec::new());
    }
    let set = set(control, actor, tenant, settings.clone()).map_err(|problem| problem.about("kerberos"))?;
    Ok(set.warnings)
}

/// `export`.
pub(crate) fn entry(control: &Control, tenant: TenantId) -> Result<Option<KerberosSignIn>, Problem> {
    control.kerberos(|store| store.kerberos(tenant))
}

/// `identity kerberos remove`: nobody is asked for a ticket any more, and none counts. Sessions go on.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant) -> Result<Changed, Problem> {
    let before = show(control, tenant)?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&before)), ..audit("identity.kerberos.remove", tenant) });
    draft.provider(ProviderChange::Kerberos(tenant.id, None));
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// A word for those who set an application to single sign-on by Kerberos: none of the connectors that would sign its users on has a
/// key for that. One that does not say, as older ones do not, may have one.
/// `keytabs`: which connectors are online, and whether they have one.
pub(crate) fn keyless(
    keytabs: impl Iterator<Item = (ConnectorId, Option<bool>)>,
    snapshot: &Snapshot,
    app: &PlannedApp,
) -> Option<String> {
    let spn = app.settings.sso.kerberos()?;
    let is_of_group = |id: &ConnectorId| snapshot.connectors.get(id).is_some_and(|known| known.group == app.group);
    let mut keytabs = keytabs.filter(|(id, _)| is_of_group(id)).map(|(_, has_keytab)| has_keytab);
    // Where none is online, that is said.
    let is_keyless = keytabs.next()? == Some(false) && keytabs.all(|has_keytab| has_keytab == Some(false));
    let (name, group) = (&app.name, group_name(snapshot, app.group));
    is_keyless.then(|| {
        format!(
            "{name}: users get 502 until connectors of group {group} can sign them on to {spn}: none that is online has a keytab; start each with --keytab and --kerberos-principal"
        )
    })
}

/// Whether browsers of a network are asked for tickets.
pub(crate) fn names_network(control: &Control, tenant: TenantId, network: &Name) -> Result<bool, Problem> {
    let settings = control.kerberos(|store| store.kerberos(tenant))?;
    Ok(settings.is_some_and(|settings| settings.networks.contains(network)))
}

fn summary(settings: &KerberosSignIn) -> String {
    let networks: Vec<&str> = settings.networks.iter().map(Name::as_str).collect();
    let (realms, login) = (settings.realms.join(" "), settings.login.as_str());
    format!("realms {realms}, in networks {}, users by {login}", networks.join(" "))
}

fn audit(action: &'static str, tenant: &Tenant) -> Audit {
    let target = format!("signing in by Kerberos in tenant {}", tenant.name);
    Audit { action, tenant: Some(tenant.id), target, before: None, after: None }
}

#[cfg(test)]
mod tests {
    use postern_model::config::{App, Connector, Preauth};
    use postern_model::ids::{AppId, CertificateId, GroupId};

    use super::*;

    #[test]
    fn a_group_without_a_keytab_is_told_who_sets_an_application_to_kerberos() {
        let tenant = TenantId::DEFAULT;
        let (group, other) = (GroupId::new(tenant, 1), GroupId::new(tenant, 2));
        let id = |seq| ConnectorId::new(tenant, seq);
        let connector = |seq, group| Connector { id: id(seq), group, key_sha256: String::new(), enrolled_unix_ms: 1 };
        let all = [connector(1, group), connector(2, group), connector(3, other)];
        let connectors = all.into_iter().map(|connector| (connector.id, connector)).collect();
        let snapshot = Snapshot { connectors, ..Snapshot::default() };
        let mut app = App {
            id: AppId::new(tenant, 1),
            name: "crm".parse().unwrap(),
            group,
            external_url: "https://crm.example.com/".into(),
            internal_url: "https://crm.corp.internal/".into(),
            preauth: Preauth::Oidc,
            certificate: CertificateId::new(tenant, 1),
            settings: [("sso", "kerberos"), ("sso_spn", "HTTP/crm.corp.internal@CORP.INTERNAL")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let said = |app: &App, online: &[(u32, Option<bool>)]| {
            let keytabs = online.iter().map(|(seq, has_keytab)| (id(*seq), *has_keytab));
            keyless(keytabs, &snapshot, &PlannedApp::parse(app).unwrap())
        };
        let warning = said(&app, &[(1, Some(false)), (2, Some(false)), (3, Some(true))]).unwrap();
        assert!(warning.starts_with("crm: users get 502 until connectors of group"), "{warning}");
        assert!(warning.contains("--keytab") && warning.contains("HTTP/crm.corp.internal@CORP.INTERNAL"), "{warning}");
        for online in [&[][..], &[(3, Some(false))], &[(1, Some(false)), (2, Some(true))], &[(1, None)]] {
            assert_eq!(said(&app, online), None, "{online:?}");
        }
        app.settings.clear();
        assert_eq!(said(&app, &[(1, Some(false))]), None);
    }
}
