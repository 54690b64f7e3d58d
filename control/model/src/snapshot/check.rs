//! Whether a change fits the state: what it names is there, of the same tenant, and nothing still needs what it removes.

use super::*;

impl Snapshot {
    pub(super) fn check(&self, change: &Change) -> Result<(), DeltaError> {
        match change {
            Change::TenantPut(_) | Change::RelayPut(_) | Change::Skipped { .. } => Ok(()),
            Change::TenantRemoved { id } => self.check_tenant_removed(*id),
            Change::GroupPut(group) => self.need_tenant(&group.id, group.id.tenant),
            Change::GroupRemoved { id } => self.check_group_removed(*id),
            Change::AppPut(app) => self.check_app(app),
            Change::AppRemoved { id } => {
                present(&self.apps, id, "removal")?;
                unused(id, self.identity.as_ref().filter(|identity| identity.app == *id).map(|_| "signing in"))
            }
            Change::ConnectorPut(connector) => {
                same_tenant(&connector.id, connector.id.tenant, &connector.group, connector.group.tenant)?;
                present(&self.groups, &connector.group, &connector.id)
            }
            Change::ConnectorRemoved { id } => present(&self.connectors, id, "removal"),
            Change::RelayRemoved { id } => present(&self.relays, id, "removal"),
            Change::CertificatePut(certificate) => self.need_tenant(&certificate.id, certificate.id.tenant),
            Change::CertificateRemoved { id } => self.check_certificate_removed(*id),
            Change::GroupConfigPut { group, .. } => present(&self.groups, group, "group config"),
            Change::GroupConfigRemoved { group } => present(&self.group_configs, group, "group config removal"),
            Change::LimitPut(limit) => self.check_limit(limit),
            Change::LimitRemoved { tenant, scope } => {
                present(&self.limits, &LimitKey { tenant: *tenant, scope: scope.clone() }, "removal")
            }
            Change::NetworkPut(network) => self.need_tenant(&network.key(), network.tenant),
            Change::NetworkRemoved { tenant, name } => self.check_network_removed(*tenant, name),
            Change::AssignmentPut(assignment) => self.check_assignment(assignment),
            Change::AssignmentRemoved { app, principal } => {
                present(&self.assignments, &AssignmentKey { app: *app, principal: *principal }, "removal")
            }
            Change::ServiceTokenPut(token) => self.check_service_token(token),
            Change::ServiceTokenRemoved { id } => present(&self.service_tokens, id, "removal"),
            Change::IdentityPut(identity) => self.check_identity(identity),
            Change::IdentityRemoved {} => match &self.identity {
                Some(_) => Ok(()),
                None => Err(DeltaError::Missing { what: "removal".into(), missing: "a place to sign in".into() }),
            },
            Change::CookieKeysPut { keys } => check_cookie_keys(keys),
            Change::AssertionKeysPut { keys } => check_assertion_keys(keys),
            Change::VaultKeyPut { group, .. } => present(&self.groups, group, "vault key"),
            Change::CredentialPut(credential) => self.check_credential(credential),
            Change::CredentialRemoved { app, owner } => {
                present(&self.credentials, &CredentialKey { app: *app, owner: *owner }, "removal")
            }
            Change::DeviceAuthorityPut(authority) => self.need_tenant(&authority.key(), authority.tenant),
            Change::DeviceAuthorityRemoved { tenant, name } => present(
                &self.device_authorities,
                &DeviceAuthorityKey { tenant: *tenant, name: name.clone() },
                "removal",
            ),
            Change::AcmeChallengePut(challenge) => self.check_challenge(challenge),
            Change::AcmeChallengeRemoved { tenant, token } => match self.acme_challenges.get(token) {
                Some(challenge) if challenge.tenant == *tenant => Ok(()),
                Some(_) | None => {
                    Err(DeltaError::Missing { what: "removal".into(), missing: format!("the challenge {token}") })
                }
            },
            Change::AcmeRenewalPut(renewal) => present(&self.certificates, &renewal.certificate, "renewal"),
            Change::AcmeRenewalRemoved { certificate } => present(&self.acme_renewals, certificate, "removal"),
            Change::DomainPut(domain) => self.need_tenant(&domain.key(), domain.tenant),
            Change::DomainRemoved { tenant, name } => {
                present(&self.domains, &DomainKey { tenant: *tenant, name: name.clone() }, "removal")
            }
            Change::PolicyPut(policy) => self.check_policy(policy),
            Change::PolicyRemoved { id } => present(&self.policies, id, "removal"),
        }
    }

    fn check_app(&self, app: &App) -> Result<(), DeltaError> {
        same_tenant(&app.id, app.id.tenant, &app.group, app.group.tenant)?;
        same_tenant(&app.id, app.id.tenant, &app.certificate, app.certificate.tenant)?;
        present(&self.groups, &app.group, &app.id)?;
        present(&self.certificates, &app.certificate, &app.id)
    }

    fn check_limit(&self, limit: &Limit) -> Result<(), DeltaError> {
        let key = limit.key();
        self.need_tenant(&key, limit.tenant)?;
        let Some(app) = limit.scope.app() else { return Ok(()) };
        same_tenant(&key, limit.tenant, &app, app.tenant)?;
        present(&self.apps, &app, &key)
    }

    fn check_assignment(&self, assignment: &Assignment) -> Result<(), DeltaError> {
        let Assignment { app, principal, .. } = assignment;
        present(&self.apps, app, &assignment.key())?;
        let tenant = match principal {
            Principal::User(id) => id.tenant,
            Principal::Group(id) => id.tenant,
            Principal::Everyone => app.tenant,
        };
        same_tenant(app, app.tenant, principal, tenant)
    }

    fn check_credential(&self, credential: &Credential) -> Result<(), DeltaError> {
        let key = credential.key();
        present(&self.apps, &key.app, &key)?;
        match key.owner {
            Owner::User(user) => same_tenant(&key.app, key.app.tenant, &user, user.tenant),
            Owner::Shared => Ok(()),
        }
    }

    fn check_service_token(&self, token: &ServiceToken) -> Result<(), DeltaError> {
        self.need_tenant(&token.id, token.id.tenant)?;
        token.apps.iter().try_for_each(|app| {
            same_tenant(&token.id, token.id.tenant, app, app.tenant)?;
            present(&self.apps, app, &token.id)
        })
    }

    fn check_identity(&self, identity: &IdentityApp) -> Result<(), DeltaError> {
        present(&self.groups, &identity.group, &identity.app)?;
        match self.apps.get(&identity.app) {
            Some(app) if app.group == identity.group => Ok(()),
            Some(_) | None => Err(DeltaError::Missing { what: "signing in".into(), missing: identity.app.to_string() }),
        }
    }

    /// Whose the applications are, the policy itself has checked.
    fn check_policy(&self, policy: &Policy) -> Result<(), DeltaError> {
        let tenant = policy.tenant();
        self.need_tenant(&policy.id, tenant)?;
        policy.named_apps().try_for_each(|app| present(&self.apps, &app, &policy.id))?;
        let key = |name: &Name| NetworkKey { tenant, name: name.clone() };
        policy.networks().try_for_each(|name| present(&self.networks, &key(name), &policy.id))
    }

    /// A policy that names a network would come to mean something else without it.
    fn check_network_removed(&self, tenant: TenantId, name: &Name) -> Result<(), DeltaError> {
        let key = NetworkKey { tenant, name: name.clone() };
        present(&self.networks, &key, "removal")?;
        let mut own = self.policies.values().filter(|policy| policy.tenant() == tenant);
        unused(&key, own.find(|policy| policy.networks().any(|network| network == name)).map(|policy| policy.id))
    }

    fn check_tenant_removed(&self, id: TenantId) -> Result<(), DeltaError> {
        present(&self.tenants, &id, "removal")?;
        let group = self.groups.keys().find(|group| group.tenant == id);
        let certificate = self.certificates.keys().find(|certificate| certificate.tenant == id);
        unused(&id, group)?;
        unused(&id, certificate)
    }

    fn check_challenge(&self, challenge: &AcmeChallenge) -> Result<(), DeltaError> {
        self.need_tenant(&"challenge", challenge.tenant)?;
        let refused = |reason| Err(DeltaError::Challenge { host: challenge.host.clone(), reason });
        let held = self.acme_challenges.get(&challenge.token);
        if !challenge.is_well_formed() {
            refused("its token is not base64url, or its key authorization is another's")
        } else if !challenge.names_host() {
            refused("its host is no host name in lower case")
        } else if held.is_some_and(|held| held.tenant != challenge.tenant) {
            refused("its token is another tenant's")
        } else if held.is_none() && self.acme_challenges.len() >= CHALLENGES_MAX {
            refused("there are too many at a time")
        } else {
            Ok(())
        }
    }

    fn check_group_removed(&self, id: GroupId) -> Result<(), DeltaError> {
        present(&self.groups, &id, "removal")?;
        unused(&id, self.apps_of(id).map(|app| app.id).next())?;
        unused(&id, self.connectors.values().find(|c| c.group == id).map(|c| c.id))
    }

    fn check_certificate_removed(&self, id: CertificateId) -> Result<(), DeltaError> {
        present(&self.certificates, &id, "removal")?;
        unused(&id, self.apps.values().find(|app| app.certificate == id).map(|app| app.id))
    }

    fn need_tenant(&self, what: &dyn std::fmt::Display, tenant: TenantId) -> Result<(), DeltaError> {
        present(&self.tenants, &tenant, what)
    }
}

fn check_assertion_keys(keys: &[AssertionKey]) -> Result<(), DeltaError> {
    let good = keys.len() <= ASSERTION_KEYS_MAX && AssertionSigner::new(keys).is_ok();
    good.then_some(())
        .ok_or_else(|| DeltaError::Missing { what: "the keys for assertions".into(), missing: "a key".into() })
}

fn check_cookie_keys(keys: &[CookieKey]) -> Result<(), DeltaError> {
    let good = keys.len() <= COOKIE_KEYS_MAX && CookieSealer::new(keys).is_ok();
    good.then_some(()).ok_or_else(|| DeltaError::Missing { what: "the cookie keys".into(), missing: "a key".into() })
}

fn present<K: Ord + ToString, V>(
    map: &BTreeMap<K, V>,
    key: &K,
    what: &(impl std::fmt::Display + ?Sized),
) -> Result<(), DeltaError> {
    if map.contains_key(key) {
        return Ok(());
    }
    Err(DeltaError::Missing { what: what.to_string(), missing: key.to_string() })
}

fn unused(what: &impl ToString, user: Option<impl ToString>) -> Result<(), DeltaError> {
    match user {
        Some(user) => Err(DeltaError::InUse { what: what.to_string(), user: user.to_string() }),
        None => Ok(()),
    }
}

fn same_tenant(
    what: &impl ToString,
    tenant: TenantId,
    other: &impl ToString,
    other_tenant: TenantId,
) -> Result<(), DeltaError> {
    if tenant == other_tenant {
        return Ok(());
    }
    Err(DeltaError::OtherTenant { what: what.to_string(), other: other.to_string() })
}
