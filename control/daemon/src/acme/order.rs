//! One order, from the hosts to the certificate: challenges go to the relays and are taken back in any case.

use std::collections::BTreeSet;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use postern_model::Change;
use postern_model::acme::{AcmeChallenge, ChallengeKind};
use postern_model::admin::{CertificateAdded, Problem};
use postern_model::app_url::HOST_BYTES_MAX;
use postern_model::ids::{CertificateId, TenantId};
use postern_model::secret::SecretText;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::account::Kept;
use super::{check_owners, words};
use crate::certificates::{self, Beginning, Ordered};
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::problem;
use crate::rollout;

/// Orders a certificate and stores it: as the successor of `current`, or of one for exactly these hosts, or as a new one.
pub(super) async fn order(
    control: &Control,
    actor: &Actor,
    tenant: TenantId,
    hosts: &[String],
    challenge: ChallengeKind,
    current: Option<CertificateId>,
) -> Result<CertificateAdded, Problem> {
    let kept = Kept::need(control, tenant)?;
    let _one = control.acme.one.lock().await;
    // Hosts may have become another tenant's since they were published, or while this waited.
    check_owners(&control.snapshot(), tenant, hosts)?;
    let beginning = Beginning::of(&control.snapshot(), tenant, current, hosts)?;
    let made = tokio::time::timeout(ORDER_TIME_MAX, make(control, tenant, kept, hosts, challenge)).await;
    take_back(control, tenant);
    let made = match made {
        Ok(made) => made,
        Err(_) => Err(format!("the order was not done within {} s", ORDER_TIME_MAX.as_secs())),
    };
    let count = if made.is_ok() { &control.acme.issued } else { &control.acme.failed };
    count.set(count.get() + 1);
    let (chain_pem, key_pem) = made.map_err(|reason| {
        problem("acme-failed", format!("no certificate for {} by {challenge}: {reason}", hosts.join(", ")))
    })?;
    let ordered = Ordered { chain_pem, key_pem, hosts, challenge };
    certificates::keep_ordered(control, actor, tenant, &beginning, &ordered)
}

async fn make(
    control: &Control,
    tenant: TenantId,
    kept: Kept,
    hosts: &[String],
    challenge: ChallengeKind,
) -> Result<(String, SecretText), String> {
    let account = kept.open().await.map_err(|error| words::of(&error))?;
    let mut order = begin(&account, hosts).await?;
    let challenges = challenges(&mut order, tenant, hosts, challenge).await?;
    if !challenges.is_empty() {
        show(control, tenant, &challenges).await?;
        say_ready(&mut order, challenge).await?;
    }
    await_ready(&mut order).await?;
    finish(&mut order, hosts).await
}

async fn begin(account: &Account, hosts: &[String]) -> Result<Order, String> {
    let identifiers: Vec<Identifier> = hosts.iter().cloned().map(Identifier::Dns).collect();
    account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| words::of(&error))
}

/// What the authority wants to see, host by host; none for hosts that it has seen lately.
async fn challenges(
    order: &mut Order,
    tenant: TenantId,
    hosts: &[String],
    kind: ChallengeKind,
) -> Result<Vec<AcmeChallenge>, String> {
    let mut challenges = Vec::new();
    let mut authorizations = order.authorizations();
    let mut left: BTreeSet<&str> = hosts.iter().map(String::as_str).collect();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words::of(&error))?;
        let host = ordered(&mut left, &authorization.identifier().to_string())?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                return Err(format!("{host}: the authorization is {:?}", authorization.status).to_lowercase());
            }
        }
        let Some(handle) = authorization.challenge(typed(kind)) else {
            return Err(format!("{host}: the authority does not offer {kind}; try the other one with --challenge"));
        };
        let key_authorization = handle.key_authorization().as_str().to_owned();
        challenges.push(AcmeChallenge {
            tenant,
            host,
            challenge: kind,
            token: handle.token.clone(),
            key_authorization,
        });
    }
    Ok(challenges)
}

/// One of the hosts that were ordered, each once: relays answer wherever a challenge says, also where others are.
fn ordered(left: &mut BTreeSet<&str>, named: &str) -> Result<String, String> {
    let host = named.to_ascii_lowercase();
    if left.remove(host.as_str()) {
        return Ok(host);
    }
    let shown: String = host.chars().filter(|c| !c.is_control()).take(HOST_BYTES_MAX).collect();
    Err(format!("the authority wants to look at {shown}, which was not ordered, or is looked at already"))
}

/// Waits until relays answer: the authority looks once or twice, at any of them.
async fn show(control: &Control, tenant: TenantId, challenges: &[AcmeChallenge]) -> Result<(), String> {
    let mut draft = Draft::default();
    let hosts: Vec<&str> = challenges.iter().map(|challenge| challenge.host.as_str()).collect();
    for challenge in challenges {
        draft.change(Change::AcmeChallengePut(challenge.clone()));
    }
    draft.audit(Audit {
        action: "certificate.challenge",
        tenant: Some(tenant),
        target: format!("hosts {}", hosts.join(", ")),
        before: None,
        after: challenges.first().map(|challenge| challenge.challenge.to_string()),
    });
    let version = control.commit(&Actor::Control, draft).map_err(|problem| problem.detail)?;
    let behind = rollout::confirmed(control, version).await;
    let relays = control.snapshot().relays.len();
    if relays == 0 {
        return Err("no relay is known that could answer the authority: postern relay add".into());
    }
    if behind.len() >= relays {
        return Err(format!("no relay can answer the authority: {}", behind.join("; ")));
    }
    for line in behind {
        tracing::warn!("the authority may look at a relay that does not answer it: {line}");
    }
    Ok(())
}

async fn say_ready(order: &mut Order, kind: ChallengeKind) -> Result<(), String> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words::of(&error))?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut handle) = authorization.challenge(typed(kind)) {
            handle.set_ready().await.map_err(|error| words::of(&error))?;
        }
    }
    Ok(())
}

async fn await_ready(order: &mut Order) -> Result<(), String> {
    let refusal = match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => return Ok(()),
        Ok(OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Invalid) => None,
        Err(error) => Some(words::of(&error)),
    };
    // What it saw at a host says more than that it was not enough.
    let seen = seen(order).await;
    if seen.is_empty() {
        return Err(refusal.unwrap_or_else(|| "the authority gave the order up and does not say why".into()));
    }
    Err(seen.join("; "))
}

/// Why authorizations failed, as the authority says at their challenges.
async fn seen(order: &mut Order) -> Vec<String> {
    let mut seen = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let host = state.identifier().to_string();
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        seen.extend(errors.map(|error| format!("{host}: {}", words::of_problem(error))));
    }
    seen
}

async fn finish(order: &mut Order, hosts: &[String]) -> Result<(String, SecretText), String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let mut params = CertificateParams::new(hosts.to_vec()).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(|error| error.to_string())?;
    order.finalize_csr(request.der()).await.map_err(|error| words::of(&error))?;
    let chain_pem = order.poll_certificate(&PATIENCE).await.map_err(|error| words::of(&error))?;
    Ok((chain_pem, SecretText::new(key.serialize_pem())))
}

/// The authority has looked, or looks no more.
pub(super) fn take_back(control: &Control, tenant: TenantId) {
    let mut draft = Draft::default();
    for challenge in control.snapshot().acme_challenges.values().filter(|challenge| challenge.tenant == tenant) {
        draft.change(Change::AcmeChallengeRemoved { tenant, token: challenge.token.clone() });
    }
    if draft.is_empty() {
        return;
    }
    if let Err(problem) = control.commit(&Actor::Control, draft) {
        tracing::error!("challenges are not taken back: {}", problem.detail);
    }
}

const fn typed(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// Authorities look within seconds; some take a minute.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_secs(90));
/// From the first request to the certificate.
const ORDER_TIME_MAX: Duration = Duration::from_secs(150);

#[cfg(test)]
mod tests;
