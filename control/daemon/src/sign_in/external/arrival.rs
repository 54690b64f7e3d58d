//! From what a provider says to a user of the directory: linked, made or refused. A login name alone makes nobody anybody.

use std::collections::BTreeSet;

use postern_model::admin::Problem;
use postern_model::codes;
use postern_model::config::App;
use postern_model::directory::User;
use postern_model::external::{ExternalIdentity, UnknownUsers};
use postern_model::identity::{ClientInfo, Refused};
use postern_model::ids::{UserGroupId, UserId};
use postern_model::session::{AuthMethod, is_multi_factor};

use super::offer;
use crate::clock::now_unix;
use crate::control::{Audit, Control, Draft};
use crate::sign_in::flow::{Proven, Vouched};
use crate::sign_in::password::Attempt;
use crate::sign_in::risk::Judged;
use crate::sign_in::{internal, refused};
use crate::store::sign_in::SignInOutcome;
use crate::store::{DirectoryChange, Part, ProviderChange, ProviderSession, SignIn, StoredProvider};
use crate::users;

/// Somebody stays out: whom it is about, as far as that is known, and why.
pub(super) struct Stays {
    pub(super) user: Option<UserId>,
    pub(super) login: String,
    pub(super) methods: BTreeSet<AuthMethod>,
    pub(super) refused: Refused,
}

/// Somebody comes in: who, and what is to be kept of what the provider says.
pub(super) struct Admitted {
    pub(super) user: User,
    pub(super) proven: Proven,
    pub(super) draft: Draft,
}

/// A user whom a provider vouches for, on the way into an application.
pub(super) struct Arrival<'a> {
    pub(super) control: &'a Control,
    pub(super) app: &'a App,
    pub(super) provider: &'a StoredProvider,
    pub(super) client: &'a ClientInfo,
}

impl Arrival<'_> {
    pub(super) fn admit(&self, identity: &ExternalIdentity) -> Result<Admitted, Box<Stays>> {
        let stays = |user, refused| {
            let login = identity.login.to_string();
            Box::new(Stays { user, login, methods: methods(identity), refused })
        };
        if identity.issuer != self.provider.settings.issuer {
            let detail = "What the provider says could not be verified, so you are not signed in.";
            return Err(stays(None, refused("issuer-mismatch", detail)));
        }
        let methods = methods(identity);
        if methods.is_empty() || self.provider.settings.require_mfa && !is_multi_factor(&methods) {
            let detail = format!("{} did not ask you for a second factor, which is needed here.", self.label());
            return Err(stays(None, refused("login-too-weak", detail)));
        }
        let mut draft = Draft::default();
        let user = self.user(identity, &mut draft).map_err(|(user, refused)| stays(user, refused))?;
        if !user.is_active(now_unix()) {
            let detail = "You may not sign in here any more. Ask your administrator.";
            return Err(stays(Some(user.id), refused("external-user-disabled", detail)));
        }
        self.groups(&user, identity, &mut draft).map_err(|_| stays(Some(user.id), internal()))?;
        let of = ProviderSession {
            tenant: self.provider.tenant,
            provider: self.provider.name.clone(),
            subject: identity.subject.clone(),
            sid: identity.session.clone(),
        };
        // Its settings may have changed while the user was there: what they do not name, nobody said.
        let claimed_device = identity.device.min(self.provider.settings.device_claims.state_max());
        let authenticated_unix = identity.auth_time_unix.map(|at| at.min(now_unix()));
        let proven = Proven {
            user: user.id,
            typed: user.login.to_string(),
            methods,
            vouched: Vouched::By(of, claimed_device),
            keep: false,
            authenticated_unix: authenticated_unix.unwrap_or_else(now_unix),
            ends_unix: None,
            device: None,
            risk: Judged::default(),
        };
        Ok(Admitted { user, proven, draft })
    }

    /// The linked user, with what the provider says now; or one who is made. Never one who only has the same login name.
    fn user(&self, identity: &ExternalIdentity, draft: &mut Draft) -> Result<User, (Option<UserId>, Refused)> {
        let (control, tenant, name) = (self.control, self.provider.tenant, &self.provider.name);
        let failed = |_| (None, internal());
        let linked = control.providers(|store| store.linked(tenant, name, &identity.subject)).map_err(failed)?;
        let before = match linked {
            Some(id) => control.directory(|store| store.user(id)).map_err(failed)?,
            None => None,
        };
        let mut user = match &before {
            Some(before) => before.clone(),
            None => {
                let user = self.made(identity, draft)?;
                draft.provider(ProviderChange::Linked(name.clone(), identity.subject.clone(), user.id));
                user
            }
        };
        if !identity.display_name.as_str().is_empty() {
            user.display_name = identity.display_name.clone();
        }
        if identity.mail_verified || self.provider.settings.trust_mail {
            user.mail = identity.mail.clone().or(user.mail);
        }
        users::put_for_provider(before.as_ref(), &user, name, draft);
        Ok(user)
    }

    fn made(&self, identity: &ExternalIdentity, draft: &mut Draft) -> Result<User, (Option<UserId>, Refused)> {
        let (control, tenant, login) = (self.control, self.provider.tenant, &identity.login);
        let failed = |_| (None, internal());
        let taken = control.directory(|store| store.user_by_login(tenant, login)).map_err(failed)?;
        let provider = &self.provider.name;
        if let Some(other) = taken {
            // An operator needs the subject to link them.
            tracing::warn!(%provider, subject = ?identity.subject, %login, "the login name belongs to a user who is not linked");
            let detail = format!(
                "{} says that you are {login}. There is a user of this name here already, and nobody has said that it is you. Ask your administrator.",
                self.label()
            );
            return Err((Some(other.id), refused("external-login-taken", detail)));
        }
        match self.provider.settings.users {
            UnknownUsers::Create => users::made_for_provider(control, tenant, login, draft).map_err(|problem| {
                tracing::warn!(%provider, subject = ?identity.subject, %login, "no user was made: {}", problem.detail);
                (None, refused("external-user-unknown", "No user could be made for you. Ask your administrator."))
            }),
            UnknownUsers::Existing => {
                tracing::warn!(%provider, subject = ?identity.subject, %login, "nobody is linked with the provider's user");
                let detail = format!("{} knows you, but nobody here does. Ask your administrator.", self.label());
                Err((None, refused("external-user-unknown", detail)))
            }
        }
    }

    /// Groups that the provider's claim fills: who is in one by hand is left in it.
    fn groups(&self, user: &User, identity: &ExternalIdentity, draft: &mut Draft) -> Result<(), Problem> {
        let (control, name) = (self.control, &self.provider.name);
        let mapped = self.provider.groups.iter().filter(|(claimed, _)| identity.groups.contains(*claimed));
        let mapped: BTreeSet<UserGroupId> = mapped.map(|(_, group)| *group).collect();
        let claimed = control.providers(|store| store.provider_groups(user.id))?;
        let direct = control.directory(|store| store.groups_with(user.id))?;
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        for id in &mapped {
            let group = control.directory(|store| store.user_group_by_id(*id))?;
            let Some(group) = group.filter(|group| group.rule().is_none()) else { continue };
            let by_a_provider = claimed.iter().any(|(claimed, _)| claimed == id);
            if claimed.contains(&(*id, name.clone())) || direct.contains(id) && !by_a_provider {
                continue;
            }
            draft.directory(DirectoryChange::UserJoined(*id, Part::Member, user.id));
            draft.provider(ProviderChange::Claimed(*id, user.id, name.clone()));
            joins.push(group.name.to_string());
        }
        let gone = claimed.iter().filter(|(id, by)| by == name && !mapped.contains(id));
        for (id, _) in gone.filter(|_| !identity.groups_left_out) {
            match claimed.iter().any(|(other, by)| other == id && by != name) {
                true => draft.provider(ProviderChange::Unclaimed(*id, user.id, name.clone())),
                false => draft.directory(DirectoryChange::UserLeft(*id, Part::Member, user.id)),
            }
            leaves.push(id.to_string());
        }
        if !joins.is_empty() || !leaves.is_empty() {
            draft.audit(Audit {
                action: "user.groups",
                tenant: Some(user.id.tenant),
                target: format!("user {} ({})", user.login, user.id),
                before: (!leaves.is_empty()).then(|| format!("leaves {}", leaves.join(", "))),
                after: Some(format!("joins {} by identity provider {name}", joins.join(", "))),
            });
        }
        Ok(())
    }

    pub(super) fn failure(&self, stays: &Stays) -> SignIn {
        let code = codes::lookup(&stays.refused.code).map_or("sign-in-failed", |entry| entry.code);
        tracing::warn!(provider = %self.provider.name, code, login = ?stays.login, "nobody is signed in by an identity provider");
        let record = self.record(&stays.login, SignInOutcome::Failure(code));
        SignIn { user: stays.user, methods: stays.methods.clone(), ..record }
    }

    pub(super) fn record(&self, login: &str, outcome: SignInOutcome) -> SignIn {
        let attempt = Attempt { tenant: self.provider.tenant, app: self.app, typed: login, client: self.client };
        SignIn { provider: Some(self.provider.name.clone()), ..attempt.record(outcome) }
    }

    fn label(&self) -> String {
        offer(self.provider).label
    }
}

/// What a provider says that was proven. A device's key is shown to us alone: a session that says so lasts as long as the device
/// counts, and of a provider's there is none.
fn methods(identity: &ExternalIdentity) -> BTreeSet<AuthMethod> {
    let mut methods = identity.methods.clone();
    if methods.remove(&AuthMethod::SoftwareKey) && methods.is_empty() {
        methods.insert(AuthMethod::Federated);
    }
    methods
}
