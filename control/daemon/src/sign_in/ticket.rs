//! Signing in by a Kerberos ticket that the browser has already. The identity process has verified it; here it is decided whether
//! tickets count for this sign-in at all, and whose this one is. It is one factor, and proves nobody's presence: where somebody
//! is to prove anew who they are, it does not count.

use std::collections::BTreeSet;
use std::net::IpAddr;

use postern_model::directory::User;
use postern_model::identity::{Factor, Refused, Step};
use postern_model::ids::UserId;
use postern_model::negotiate::{GiveTicket, KerberosSignIn, PrincipalRefused, TicketOutcome};
use postern_model::network::NetworkKey;
use postern_model::session::AuthMethod;

use super::flow::{At, Flow, Proven, Stage, Vouched};
use super::password::Attempt;
use super::risk::Judged;
use super::{flow_over, internal, log, refused, second};
use crate::clock::now_unix;
use crate::control::{Control, Draft};
use crate::sessions::secret_key;
use crate::store::SignIn;
use crate::store::sign_in::SignInOutcome;

/// What counts of a ticket in this sign-in; nothing where none does: it is off, the browser is elsewhere, or somebody is to
/// prove anew who they are.
pub(super) fn offered(control: &Control, flow: &Flow, address: IpAddr) -> Option<KerberosSignIn> {
    if flow.again.get() {
        return None;
    }
    let settings = control.kerberos(|store| store.kerberos(flow.tenant)).ok().flatten()?;
    let snapshot = control.snapshot();
    let is_inside = settings.networks.iter().any(|name| {
        let network = snapshot.networks.get(&NetworkKey { tenant: flow.tenant, name: name.clone() });
        network.is_some_and(|network| {
            !network.anonymiser && network.prefixes.iter().any(|prefix| prefix.contains(address))
        })
    });
    is_inside.then_some(settings)
}

/// Somebody who stays out: whom it is about, why, for the log, and what they are told.
struct Stays {
    user: Option<UserId>,
    why: &'static str,
    told: Refused,
}

/// A browser showed a ticket.
pub(crate) fn ticket(control: &Control, request: GiveTicket) -> Step {
    let GiveTicket { flow: secret, outcome, client } = request;
    let found = control.sign_ins.borrow().find(&secret_key(secret.expose()));
    let Some(flow) = found else { return Step::Refused(flow_over()) };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    if !matches!(*flow.stage.borrow(), Stage::Password(None)) {
        return Step::Refused(flow_over());
    }
    let at = At { secret: &secret, flow: &flow, app: &app, client: &client };
    let Some(settings) = offered(control, &flow, client.address) else {
        return at.ask(control, Factor::Password, None);
    };
    // Counted apart from passwords, whose turn comes when no ticket is good. Beyond, none is looked at or recorded.
    if control.sign_ins.borrow_mut().tickets.begin_of_source(client.address, now_unix()).is_err() {
        return at.ask(control, Factor::Password, None);
    }
    let typed = match &outcome {
        TicketOutcome::Principal(principal) => principal.as_str(),
        TicketOutcome::Refused => "",
    };
    match judge(control, &flow, &settings, &outcome) {
        Ok(user) => {
            control.sign_ins.borrow_mut().tickets.succeeded_of_source(client.address);
            // Only one of two that were sent at once leads on.
            flow.stage.replace(Stage::Taken);
            second::go_on(control, &at, &user, proven(&user), Draft::default())
        }
        Err(Stays { user, why, told }) => {
            let attempt = Attempt { tenant: flow.tenant, app: &app, typed, client: &client };
            let methods = BTreeSet::from([AuthMethod::Integrated]);
            let failed = SignIn { user, methods, ..attempt.record(SignInOutcome::Failure(why)) };
            match log(control, failed) {
                Ok(()) => at.ask(control, Factor::Password, Some(told)),
                Err(refused) => Step::Refused(refused),
            }
        }
    }
}

/// The one user whose ticket it is.
fn judge(control: &Control, flow: &Flow, settings: &KerberosSignIn, outcome: &TicketOutcome) -> Result<User, Stays> {
    let TicketOutcome::Principal(principal) = outcome else {
        let told = "Your Kerberos ticket was not accepted. Sign in here instead.";
        return Err(Stays {
            user: None,
            why: "kerberos-ticket-refused",
            told: refused("kerberos-ticket-refused", told),
        });
    };
    let stays = |user, why| {
        let who: String = principal.chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS_MAX).collect();
        let told = format!("Your computer says that you are {who}, who may not sign in here. Sign in with your name.");
        Stays { user, why, told: refused("kerberos-user-refused", told) }
    };
    // Words of their own: who has a ticket guesses at nobody, and risk counts those who do.
    let sought = settings.sought(principal).map_err(|error| match error {
        PrincipalRefused::NotAUser => stays(None, "kerberos-principal-refused"),
        PrincipalRefused::Realm => stays(None, "kerberos-realm-refused"),
    })?;
    let found = control.kerberos(|store| store.users_sought(flow.tenant, &sought));
    let found = found.map_err(|_| Stays { user: None, why: "internal", told: internal() })?;
    match <[User; 1]>::try_from(found) {
        Ok([user]) if user.is_active(now_unix()) => Ok(user),
        Ok([user]) => Err(stays(Some(user.id), "user-disabled")),
        Err(several) if several.is_empty() => Err(stays(None, "kerberos-user-unknown")),
        Err(_) => Err(stays(None, "kerberos-user-ambiguous")),
    }
}

fn proven(user: &User) -> Proven {
    Proven {
        user: user.id,
        typed: user.login.to_string(),
        methods: BTreeSet::from([AuthMethod::Integrated]),
        vouched: Vouched::Nobody,
        keep: false,
        authenticated_unix: now_unix(),
        ends_unix: None,
        device: None,
        risk: Judged::default(),
    }
}

const SHOWN_CHARS_MAX: usize = 128;
