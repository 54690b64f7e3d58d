//! The second factor: asked for, set up, proven. A flow goes from a password to it, or begins with it where a session is to
//! become a stronger one.
//!
//! ```text
//! Password ──► Second ──────────────► session
//!    │            ▲                     ▲  ▲
//!    ├────────────┘ (has one)           │  │
//!    ├──► Enrol ──► Recovery ───────────┘  │
//!    │     (has none, and one is demanded) │
//!    └─────────────────────────────────────┘ (nothing more is demanded)
//! ```
//!
//! Where a device counts it is shown first, before `Second`: see [`device_host`]. Before the session come terms of use that are
//! to be accepted: see [`terms`].

use postern_model::directory::User;
use postern_model::identity::{Factor, FactorAnswer, GiveFactor, KeyCreated, Refused, Step};
use postern_model::ids::{SessionId, UserId};
use postern_model::policy::{PolicyState, Risk};
use postern_model::session::{AuthMethod, is_multi_factor};

use super::demand::{self, Demand, Unmet, demanded};
use super::flow::{At, Flow, Goal, Proven, Stage, Vouched};
use super::webauthn::{self, Challenge, KeyRefused, RelyingParty};
use super::{
    anew, device_host, done, flow_over, internal, log, log_with, make_session, offers, refused, terms, too_many, totp,
    would_be,
};
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::factors::{self, recovery_codes, recovery_hash};
use crate::limits::{ENROL_FRESH_S, FACTOR_KEYS_MAX};
use crate::sessions::secret_key;
use crate::store::factors::{StoredFactors, StoredKey, StoredTotp, TotpSecret};
use crate::store::sign_in::SignInOutcome;
use crate::store::{FactorChange, StoredSession};

/// Someone with a session comes: is it enough, and what is asked for if it is not? `None`: it is.
pub(super) fn resume(
    control: &Control,
    at: &At<'_>,
    session: &StoredSession,
    user: &User,
    demand: Demand,
) -> Option<Step> {
    let factors = match control.directory(|store| store.factors(user.id)) {
        Ok(factors) => factors,
        Err(_) => return Some(Step::Refused(internal())),
    };
    let mut unmet = demand.unmet(session, now_unix())?;
    let proven = Proven::by(session, user);
    match unmet {
        Unmet::Device => return Some(device_host::needed(control, at, proven, Some(session.id), Draft::default())),
        // With the device that was shown it is another session, and the terms come before that.
        Unmet::Terms if at.flow.visit.borrow().device().is_some() => return None,
        Unmet::Terms => return terms::ask_of_session(control, at, user, session, proven),
        Unmet::Factor | Unmet::Everything => {}
    }
    // Whoever found a browser open must not make a factor of their own.
    let is_old = now_unix() >= proven.authenticated_unix.saturating_add(ENROL_FRESH_S);
    if !factors.any() && (is_old || proven.is_silent()) {
        unmet = Unmet::Everything;
    }
    if let Err(refused) = log(control, at.record(&proven, SignInOutcome::Interrupted(interrupted(unmet)))) {
        return Some(Step::Refused(refused));
    }
    Some(match unmet {
        Unmet::Everything => anew::ask_all(control, at, user),
        Unmet::Factor | Unmet::Device | Unmet::Terms => ask_for(control, at, user, proven, &factors, None),
    })
}

const fn interrupted(unmet: Unmet) -> &'static str {
    match unmet {
        Unmet::Factor => "mfa-needed",
        Unmet::Everything => "sign-in-again",
        Unmet::Device => "device-needed",
        Unmet::Terms => "terms-needed",
    }
}

/// After a password, or what a provider said: a session, or what is needed before there is one. `draft` is kept either way.
pub(super) fn go_on(control: &Control, at: &At<'_>, user: &User, mut proven: Proven, draft: Draft) -> Step {
    let Ok(factors) = control.directory(|store| store.factors(user.id)) else { return Step::Refused(internal()) };
    // Which factors its users show is a provider's to say, unless more is demanded here.
    let has_own = factors.any() && proven.vouched == Vouched::Nobody;
    proven.device = proven.device.or_else(|| device_host::shown_before(control, at, user));
    proven.risk.judge(control, user, at.client);
    let demand = demanded(control, at, &would_be(user, &proven, at.client));
    if demand.again && proven.is_silent() {
        return anew::instead(control, at, user, &proven, draft);
    }
    proven.keep &= !demand.no_persistent;
    if demand.device {
        return device_host::needed(control, at, proven, None, draft);
    }
    let is_demanded = has_own || demand.multi_factor;
    if !is_demanded || is_multi_factor(&proven.methods) {
        return finish(control, at, user, proven, draft);
    }
    match log_with(control, draft, at.record(&proven, SignInOutcome::Interrupted("mfa-needed"))) {
        Ok(()) if proven.is_silent() && !factors.any() => anew::ask_all(control, at, user),
        Ok(()) => ask_for(control, at, user, proven, &factors, None),
        Err(refused) => Step::Refused(refused),
    }
}

/// Asks for a factor that the user has, else for a new one.
fn ask_for(
    control: &Control,
    at: &At<'_>,
    user: &User,
    proven: Proven,
    factors: &StoredFactors,
    problem: Option<Refused>,
) -> Step {
    if !factors.any() {
        return enrol(control, at, user, proven, None, problem);
    }
    let Some((challenge, party)) = Challenge::make().zip(party(control)) else { return Step::Refused(internal()) };
    let second = offers::second(factors, &challenge, &party);
    at.flow.stage.replace(Stage::Second(proven, challenge));
    at.ask(control, Factor::Second(second), problem)
}

/// Shows what a factor is set up with; `secret`: what was shown already. Nobody who may be somebody else sets up the first one: a
/// stolen password would be as good as two factors from then on, and where it was used a country that its owner is known to be in.
pub(super) fn enrol(
    control: &Control,
    at: &At<'_>,
    user: &User,
    proven: Proven,
    secret: Option<TotpSecret>,
    problem: Option<Refused>,
) -> Step {
    let Ok(factors) = control.directory(|store| store.factors(user.id)) else { return Step::Refused(internal()) };
    let is_first = secret.is_none() && !factors.any() && !is_multi_factor(&proven.methods);
    if is_first && proven.risk.so_far >= Risk::Medium && has_policies(control, user) {
        let detail = "A second factor cannot be set up in a sign-in that looks like somebody else's.";
        let logged = log(control, at.record(&proven, SignInOutcome::Failure("policy-step-up")));
        return Step::Refused(logged.err().unwrap_or_else(|| refused("policy-step-up", detail)));
    }
    let made = Challenge::make().zip(party(control)).zip(secret.or_else(TotpSecret::make));
    let Some(((challenge, party), secret)) = made else { return Step::Refused(internal()) };
    let enrolment = offers::enrolment(user, &factors, &challenge, &party, &secret);
    at.flow.stage.replace(Stage::Enrol(proven, challenge, secret));
    at.ask(control, Factor::Enrol(enrolment), problem)
}

/// Whether any is in force in the user's tenant: what a factor that was set up for one application is worth, others' say, too.
fn has_policies(control: &Control, user: &User) -> bool {
    let snapshot = control.snapshot();
    snapshot.policies.values().any(|policy| policy.id.tenant == user.id.tenant && policy.state == PolicyState::On)
}

/// Anything other than a password.
pub(crate) fn factor(control: &Control, request: GiveFactor) -> Step {
    let GiveFactor { flow: secret, answer, terms: named, client } = request;
    let key = secret_key(secret.expose());
    let Some(flow) = control.sign_ins.borrow_mut().find(&key) else { return Step::Refused(flow_over()) };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    let at = At { secret: &secret, flow: &flow, app: &app, client: &client };
    let stage = flow.stage.replace(Stage::Taken);
    let user = match &stage {
        Stage::Second(proven, _) | Stage::Enrol(proven, ..) | Stage::Recovery(proven) | Stage::Terms(proven, _) => {
            active(control, proven.user)
        }
        Stage::Device(..) | Stage::DeviceFirst | Stage::Password(_) | Stage::Taken => None,
    };
    let Some(user) = user else {
        flow.stage.replace(stage);
        return Step::Refused(flow_over());
    };
    match (stage, answer) {
        (Stage::Second(proven, challenge), answer @ (FactorAnswer::Code(_) | FactorAnswer::Key(_))) => {
            second(control, &at, &user, proven, &challenge, &answer)
        }
        (Stage::Enrol(proven, _, secret), FactorAnswer::EnrolCode(code)) => {
            let code = totp::typed(&code);
            match secret.step_of(&code, 0, now_unix()) {
                Some(step) => {
                    let totp = StoredTotp { secret, step, created_unix: now_unix() };
                    let change = FactorChange::TotpPut(user.id, totp);
                    enrolled(control, &at, &user, proven, AuthMethod::OneTimePassword, change)
                }
                None => enrol(control, &at, &user, proven, Some(secret), Some(code_wrong())),
            }
        }
        (Stage::Enrol(proven, challenge, secret), FactorAnswer::EnrolKey(given)) => {
            match new_key(control, &user, &challenge, &given) {
                Ok(key) => {
                    let change = FactorChange::KeyPut(user.id, Box::new(key));
                    enrolled(control, &at, &user, proven, AuthMethod::HardwareKey, change)
                }
                Err(refused) => enrol(control, &at, &user, proven, Some(secret), Some(refused)),
            }
        }
        (Stage::Recovery(proven), FactorAnswer::Seen) => finish(control, &at, &user, proven, Draft::default()),
        (Stage::Terms(proven, shown), FactorAnswer::Terms(accepts)) => {
            terms::answered(control, &at, &user, proven, &shown, &terms::Answer { accepts, named })
        }
        (stage, _) => {
            flow.stage.replace(stage);
            Step::Refused(flow_over())
        }
    }
}

/// A factor of the user's is shown.
fn second(
    control: &Control,
    at: &At<'_>,
    user: &User,
    mut proven: Proven,
    challenge: &Challenge,
    answer: &FactorAnswer,
) -> Step {
    let Ok(factors) = control.directory(|store| store.factors(user.id)) else { return Step::Refused(internal()) };
    // No login name has capitals: nobody can type this one.
    let (counted, source) = (format!("FACTOR {}", user.id), at.client.address);
    let counted = (user.id.tenant, &*counted);
    let guess = control.sign_ins.borrow_mut().guesses.begin(counted, source, now_unix());
    if let Err(wait_s) = guess {
        return ask_for(control, at, user, proven, &factors, Some(too_many(wait_s)));
    }
    let shown = match answer {
        FactorAnswer::Code(code) => shown_code(control, user, &factors, &totp::typed(code)),
        FactorAnswer::Key(given) => shown_key(control, user, challenge, given),
        FactorAnswer::EnrolCode(_) | FactorAnswer::EnrolKey(_) | FactorAnswer::Seen | FactorAnswer::Terms(_) => {
            Err(("otp-wrong", code_wrong()))
        }
    };
    match shown {
        Ok((method, change)) => {
            control.sign_ins.borrow_mut().guesses.succeeded(counted, source);
            proven.methods.insert(method);
            let mut draft = Draft::default();
            if let FactorChange::RecoveryUsed(..) = &change {
                draft.audit(factors::audit("user.factor.recovery-code", user, None, None));
            }
            draft.factor(change);
            finish(control, at, user, proven, draft)
        }
        Err((code, problem)) => match log(control, at.record(&proven, SignInOutcome::Failure(code))) {
            Ok(()) => ask_for(control, at, user, proven, &factors, Some(problem)),
            Err(refused) => Step::Refused(refused),
        },
    }
}

type Shown = Result<(AuthMethod, FactorChange), (&'static str, Refused)>;

/// Six digits are of an app; everything else may be a recovery code.
fn shown_code(control: &Control, user: &User, factors: &StoredFactors, code: &str) -> Shown {
    if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        let step = factors.totp.as_ref().and_then(|totp| totp.step_of(code, now_unix()));
        let step = step.ok_or_else(|| ("otp-wrong", code_wrong()))?;
        return Ok((AuthMethod::OneTimePassword, FactorChange::TotpUsed(user.id, step)));
    }
    let hash = recovery_hash(code);
    match control.directory(|store| store.has_recovery(user.id, &hash)) {
        Ok(true) => Ok((AuthMethod::OneTimePassword, FactorChange::RecoveryUsed(user.id, hash))),
        Ok(false) => Err(("recovery-code-wrong", code_wrong())),
        Err(_) => Err(("internal", internal())),
    }
}

fn shown_key(
    control: &Control,
    user: &User,
    challenge: &Challenge,
    given: &postern_model::identity::KeyAssertion,
) -> Shown {
    let wrong = |error: KeyRefused| ("key-refused", key_refused(error));
    let credential = webauthn::decoded(&given.credential).map_err(wrong)?;
    let known = control.directory(|store| store.key(&credential)).map_err(|_| ("internal", internal()))?;
    let known = known.filter(|(owner, _)| *owner == user.id).map(|(_, key)| key);
    let unknown = || ("key-refused", refused("sign-in-key-refused", "This key is not one of yours."));
    let known = known.ok_or_else(unknown)?;
    let party = party(control).ok_or_else(|| ("internal", internal()))?;
    let counter = webauthn::asserted(&party, challenge, &known.public_key, known.counter, given).map_err(wrong)?;
    Ok((AuthMethod::HardwareKey, FactorChange::KeyUsed(credential, counter, now_unix())))
}

fn new_key(control: &Control, user: &User, challenge: &Challenge, given: &KeyCreated) -> Result<StoredKey, Refused> {
    let party = party(control).ok_or_else(internal)?;
    let created = webauthn::created(&party, challenge, given).map_err(key_refused)?;
    let factors = control.directory(|store| store.factors(user.id)).map_err(|_| internal())?;
    if factors.keys.len() >= FACTOR_KEYS_MAX {
        let detail = format!("You have {FACTOR_KEYS_MAX} keys already: remove one first.");
        return Err(refused("sign-in-key-refused", detail));
    }
    if control.directory(|store| store.key(&created.credential)).map_err(|_| internal())?.is_some() {
        return Err(refused("sign-in-key-refused", "This key is set up already."));
    }
    let name = given
        .name
        .trim()
        .parse()
        .map_err(|error| refused("sign-in-key-refused", format!("The key cannot be called so: {error}.")))?;
    Ok(StoredKey {
        credential: created.credential,
        public_key: created.public_key,
        counter: created.counter,
        name,
        created_unix: now_unix(),
        used_unix: now_unix(),
    })
}

/// A new factor was proven: it is the user's. With the first one come recovery codes.
fn enrolled(
    control: &Control,
    at: &At<'_>,
    user: &User,
    mut proven: Proven,
    method: AuthMethod,
    change: FactorChange,
) -> Step {
    let Ok(factors) = control.directory(|store| store.factors(user.id)) else { return Step::Refused(internal()) };
    let mut draft = Draft::default();
    draft.audit(factors::audit("user.factor.add", user, None, Some(factors::kind(method))));
    draft.factor(change);
    let codes = if factors.recovery == 0 { recovery_codes() } else { Some(Vec::new()) };
    let Some(codes) = codes else { return Step::Refused(internal()) };
    if !codes.is_empty() {
        draft.factor(factors::put_codes(user.id, &codes));
    }
    if control.commit(&Actor::User(user.login.clone()), draft).is_err() {
        return Step::Refused(internal());
    }
    proven.methods.insert(method);
    if codes.is_empty() {
        return finish(control, at, user, proven, Draft::default());
    }
    at.flow.stage.replace(Stage::Recovery(proven));
    at.ask(control, Factor::Recovery(codes), None)
}

/// The session, in place of the one that there was. What was used up for it is so in the same transaction, `draft`.
pub(super) fn finish(control: &Control, at: &At<'_>, user: &User, mut proven: Proven, draft: Draft) -> Step {
    proven.risk.judge(control, user, at.client);
    match terms::due_of(control, at, user, &proven) {
        Ok(None) => {}
        Ok(Some(due)) => return terms::ask(control, at, proven, due, draft),
        Err(refused) => return Step::Refused(refused),
    }
    // Only one of two that were sent at once leads on.
    if control.sign_ins.borrow_mut().flows.take_if_good(&secret_key(at.secret.expose()), now_unix()).is_none() {
        return Step::Refused(flow_over());
    }
    if let Some(session) = unchanged(control, at.flow, &proven) {
        return done(control, at, session, None);
    }
    // With all that was proven since they were last asked.
    drop(demand::look(control, at, &would_be(user, &proven, at.client)));
    let record = at.record(&proven, SignInOutcome::Success);
    match make_session(control, user, &proven, at, record, draft) {
        Ok((session, grant)) => done(control, at, session, Some(grant)),
        Err(refused) => Step::Refused(refused),
    }
}

/// On their own page people prove nothing new when they look at their recovery codes: the session stays.
fn unchanged(control: &Control, flow: &Flow, proven: &Proven) -> Option<SessionId> {
    let id = flow.replaces.get().filter(|_| flow.goal == Goal::Account)?;
    let session = control.sessions_in_store(|store| store.session(id)).ok().flatten()?;
    let is_same = session.user == proven.user
        && session.methods == proven.methods
        && session.authenticated_unix == proven.authenticated_unix
        && session.claimed_device == proven.vouched.claimed_device();
    is_same.then_some(id)
}

pub(super) fn active(control: &Control, user: UserId) -> Option<User> {
    control.directory(|store| store.user(user)).ok().flatten().filter(|user| user.is_active(now_unix()))
}

/// Where keys are good: the host that people sign in at.
pub(super) fn party(control: &Control) -> Option<RelyingParty> {
    let snapshot = control.snapshot();
    let app = snapshot.apps.get(&snapshot.identity.as_ref()?.app)?;
    let external = postern_model::app_url::ExternalUrl::parse(&app.external_url).ok()?;
    let origin = format!("https://{}", external.authority(&external.host));
    Some(RelyingParty { origin, id: external.host.to_string() })
}

fn code_wrong() -> Refused {
    refused("sign-in-code-wrong", "The code is not right, or it was used already.")
}

fn key_refused(error: KeyRefused) -> Refused {
    refused("sign-in-key-refused", format!("The key was not accepted: {error}."))
}
