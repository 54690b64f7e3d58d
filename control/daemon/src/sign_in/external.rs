//! Signing in by an external provider: what has to come back is kept here, for one browser and once, and what the provider
//! said becomes a user or a refusal. The identity process asks the provider and judges its tokens.

mod arrival;
pub(crate) mod probes;

use std::collections::BTreeSet;

use postern_model::directory::LoginName;
use postern_model::external::{
    ByIssuer, EndExternal, EndedExternal, ExternalOutcome, ExternalStart, FinishExternal, GiveLogin, KeepExternal,
    Kept, Offer, Offers, ProviderGrant, ProvidersOf, StartExternal, StartedExternal, TakeExternal, TakenExternal,
};
use postern_model::identity::{Ask, Factor, Refused, SignedIn, Step};
use postern_model::ids::{Name, TenantId};
use postern_model::secret::SecretText;

use super::flow::{At, Stage};
use super::second;
use super::waiting::Waiting;
use super::{ask, flow_over, internal, issuer, log, refused};
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::idps;
use crate::sessions::{random_secret, secret_key};
use crate::store::{SessionChange, StoredProvider, StoredSession};
use arrival::{Admitted, Arrival, Stays};

/// What providers are to answer, by the state that they repeat.
#[derive(Default)]
pub(super) struct External {
    by_state: Waiting<OneWaiting>,
    probes: probes::Asked,
}

struct OneWaiting {
    flow: SecretText,
    tenant: TenantId,
    provider: Name,
    pending: SecretText,
    browser: [u8; 32],
}

/// The providers of a tenant, for a page.
pub(super) fn offers(control: &Control, tenant: TenantId) -> Offers {
    let providers = enabled_of(control, tenant).into_iter().map(|provider| offer(&provider)).collect();
    Offers { providers, ..Offers::default() }
}

/// The first page of a sign-in: the user name alone where its domain decides, or none at all.
pub(super) fn first(control: &Control, tenant: TenantId, mut ask: Ask) -> Ask {
    let providers = enabled_of(control, tenant);
    if let Some(provider) = providers.iter().find(|provider| provider.settings.default) {
        ask.external.straight_to = Some(provider.name.clone());
    }
    if providers.iter().any(|provider| !provider.settings.domains.is_empty()) {
        ask.factor = Factor::Login;
    }
    ask
}

/// A user name: what is asked for next follows from its domain. The directory is not looked at, so that nobody learns
/// from it who there is.
pub(crate) fn login(control: &Control, request: GiveLogin) -> Step {
    let GiveLogin { flow: secret, login } = request;
    let Some(flow) = control.sign_ins.borrow_mut().find(&secret_key(secret.expose())) else {
        return Step::Refused(flow_over());
    };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    if !matches!(*flow.stage.borrow(), Stage::Password(_)) {
        return Step::Refused(flow_over());
    }
    let mut ask = ask(control, &secret, app.name.as_str(), &flow, Factor::Password, None);
    let typed = login.trim().to_ascii_lowercase();
    let domain = typed.rsplit_once('@').map(|(_, domain)| domain);
    let providers = enabled_of(control, flow.tenant);
    let leads = |provider: &&StoredProvider| domain.is_some_and(|domain| provider.settings.domains.contains(domain));
    if let Some(provider) = providers.iter().find(leads) {
        ask.external.straight_to = Some(provider.name.clone());
        ask.external.login_hint = Some(typed.clone());
    }
    ask.login = typed.parse::<LoginName>().ok();
    Step::Ask(Box::new(ask))
}

/// A browser wants to go to a provider.
pub(crate) fn start(control: &Control, request: StartExternal) -> StartedExternal {
    let StartExternal { flow, provider, browser } = request;
    let Some(flow) = control.sign_ins.borrow_mut().find(&secret_key(flow.expose())) else {
        return StartedExternal::Refused(flow_over());
    };
    let tenant = flow.tenant;
    let Some(provider) = enabled(control, tenant, &provider) else {
        return StartedExternal::Refused(not_offered());
    };
    let browser = browser.map_or_else(|| random_secret().map(|(secret, _)| secret), Ok);
    let redirect_uri = idps::redirect_uri(&issuer(control), tenant, &provider.name);
    match (browser, grant(control, provider)) {
        (Ok(browser), Some(provider)) => {
            let again = flow.again.get();
            StartedExternal::Go(Box::new(ExternalStart { provider, redirect_uri, browser, again }))
        }
        _ => StartedExternal::Refused(internal()), // the store or the system fails
    }
}

/// What has to come back.
pub(crate) fn keep(control: &Control, request: KeepExternal) -> Kept {
    let KeepExternal { flow, provider, state, pending, browser } = request;
    let found = control.sign_ins.borrow_mut().find(&secret_key(flow.expose()));
    let Some(found) = found.filter(|_| pending.expose().len() <= PENDING_BYTES_MAX) else {
        return Kept { kept: false };
    };
    let (tenant, source) = (found.tenant, found.source);
    let browser = secret_key(browser.expose());
    let one = OneWaiting { flow, tenant, provider, pending, browser };
    let state = secret_key(state.expose());
    control.sign_ins.borrow_mut().external.by_state.keep(state, source, one, now_unix());
    Kept { kept: true }
}

/// What was kept, for the browser that it was kept for. Whoever asks, it is gone then.
pub(crate) fn take(control: &Control, request: &TakeExternal) -> TakenExternal {
    let state = secret_key(request.state.expose());
    let taken = control.sign_ins.borrow_mut().external.by_state.take_if_good(&state, now_unix());
    let no = |code: &str, detail: &str| TakenExternal::Refused(refused(code, detail));
    let unknown = "This answer belongs to no sign-in of this browser. Open the application once more.";
    let browser = secret_key(request.browser.expose());
    let taken = taken.filter(|one| one.browser == browser);
    let Some(OneWaiting { flow, tenant, provider, pending, .. }) = taken else {
        tracing::warn!(provider = %request.provider, "an answer came that belongs to no sign-in of its browser");
        return no("external-state-unknown", unknown);
    };
    // Each provider has an address of its own: an answer at another's is of another than was asked.
    if (tenant, &provider) != (request.tenant, &request.provider) {
        tracing::warn!(asked = %provider, answered = %request.provider, "another provider answered than was asked");
        return no("issuer-mismatch", "Another provider answered than was asked. You are not signed in.");
    }
    match enabled(control, tenant, &provider).and_then(|provider| grant(control, provider)) {
        Some(provider) => TakenExternal::Taken { flow, pending, provider: Box::new(provider) },
        None => TakenExternal::Refused(not_offered()),
    }
}

/// What came of it.
pub(crate) fn finish(control: &Control, request: FinishExternal) -> Step {
    let FinishExternal { flow: secret, provider, client, outcome } = request;
    let Some(flow) = control.sign_ins.borrow_mut().find(&secret_key(secret.expose())) else {
        return Step::Refused(flow_over());
    };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    let Some(provider) = enabled(control, flow.tenant, &provider) else { return Step::Refused(not_offered()) };
    let at = At { secret: &secret, flow: &flow, app: &app, client: &client };
    let arrival = Arrival { control, app: &app, provider: &provider, client: &client };
    let judged = match outcome {
        ExternalOutcome::User(identity) => arrival.admit(&identity),
        ExternalOutcome::Failed(refused) => {
            Err(Box::new(Stays { user: None, login: String::new(), methods: BTreeSet::new(), refused }))
        }
    };
    // Only one of two that came at once leads on.
    if matches!(flow.stage.replace(Stage::Taken), Stage::Taken) {
        return Step::Refused(flow_over());
    }
    match judged {
        Ok(Admitted { user, proven, draft }) => second::go_on(control, &at, &user, proven, draft),
        Err(stays) => match log(control, arrival.failure(&stays)) {
            Ok(()) => {
                flow.stage.replace(Stage::Password(None));
                at.ask(control, Factor::Password, Some(stays.refused))
            }
            Err(refused) => Step::Refused(refused),
        },
    }
}

/// Providers that a logout token may be of.
pub(crate) fn by_issuer(control: &Control, request: &ByIssuer) -> ProvidersOf {
    let all = control.providers(|store| store.providers(None)).unwrap_or_default();
    let of = all.into_iter().filter(|one| !one.settings.disabled && one.settings.issuer == request.issuer);
    ProvidersOf { items: of.filter_map(|provider| grant(control, provider)).take(ISSUERS_ALIKE_MAX).collect() }
}

/// A provider says that somebody signed out there.
pub(crate) fn end(control: &Control, request: &EndExternal) -> EndedExternal {
    let EndExternal { tenant, provider, issuer, subject, session } = request;
    let known = enabled(control, *tenant, provider).filter(|known| known.settings.issuer == *issuer);
    if known.is_none() || (subject.is_none() && session.is_none()) {
        return EndedExternal { ended: Some(0) };
    }
    let found = control
        .providers(|store| store.sessions_of_provider(*tenant, provider, subject.as_deref(), session.as_deref()));
    let Ok(found) = found else { return EndedExternal { ended: None } };
    let ended = u64::try_from(found.len()).unwrap_or(u64::MAX);
    if ended > 0 {
        let mut draft = Draft::default();
        found.into_iter().for_each(|session| draft.session(SessionChange::Removed(session)));
        draft.audit(Audit {
            action: "session.revoke",
            tenant: Some(*tenant),
            target: format!("sessions by identity provider {provider}"),
            before: Some(format!("{ended} sessions")),
            after: Some("signed out there".into()),
        });
        if control.commit(&Actor::Control, draft).is_err() {
            return EndedExternal { ended: None };
        }
    }
    EndedExternal { ended: Some(ended) }
}

/// Adds where somebody signs out who signed in by a provider.
pub(super) fn sign_out_at(control: &Control, session: &StoredSession, was: SignedIn) -> SignedIn {
    let provider = session.provider.as_ref().and_then(|name| enabled(control, session.user.tenant, name));
    let provider = provider.and_then(|provider| grant(control, provider)).map(Box::new);
    let signed_out_uri = provider.is_some().then(|| format!("{}/signed-out", issuer(control)));
    SignedIn { provider, signed_out_uri, ..was }
}

fn enabled_of(control: &Control, tenant: TenantId) -> Vec<StoredProvider> {
    let mut all = control.providers(|store| store.providers(Some(tenant))).unwrap_or_default();
    all.retain(|provider| !provider.settings.disabled);
    all
}

fn enabled(control: &Control, tenant: TenantId, name: &Name) -> Option<StoredProvider> {
    let found = control.providers(|store| store.provider(tenant, name)).ok().flatten();
    found.filter(|provider| !provider.settings.disabled)
}

/// With its secret; nothing when that cannot be read.
fn grant(control: &Control, provider: StoredProvider) -> Option<ProviderGrant> {
    let StoredProvider { tenant, name, settings, groups: _ } = provider;
    let client_secret = control.providers(|store| store.provider_secret(tenant, &name)).ok()?;
    Some(ProviderGrant { tenant, name, settings, client_secret })
}

fn offer(provider: &StoredProvider) -> Offer {
    let label = provider.settings.label.as_str();
    let label = if label.is_empty() { provider.name.to_string() } else { label.to_owned() };
    Offer { name: provider.name.clone(), label }
}

fn not_offered() -> Refused {
    refused("provider-not-offered", "Nobody signs in this way any more. Open the application once more.")
}

/// State, nonce, verifier and an issuer of at most 2 KiB.
const PENDING_BYTES_MAX: usize = 8 << 10;
/// Providers with the same issuer that a logout token is tried with.
const ISSUERS_ALIKE_MAX: usize = 16;
