//! An application at several places: which of them a request goes to, how they are, and the cookie that leads a browser back to
//! the same one. All workers of the connector share it; connections are each worker's own.

mod cookie;
mod health;
pub(crate) mod looking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use postern_http::{Headers, Target};
use postern_io::Instant;
use postern_model::app_url::InternalUrl;
use postern_model::group_config::BackendApp;
use postern_model::settings::{AppSettings, Balance, HealthCheck};
use postern_service::metrics::{Kind, Page};
use postern_tunnel::ExternalScheme;

use crate::backend::Backend;
use crate::failure::{Failed, Fault};
use cookie::MemberCookie;
use health::Health;

pub(crate) use cookie::Marked;

/// The members of an application's farm; the first is the one that its internal URL names.
#[derive(Debug)]
pub(crate) struct Farm {
    app: String,
    pub(crate) members: Vec<Member>,
    balance: Balance,
    cookie: Option<MemberCookie>,
    check: Option<(HealthCheck, Target)>,
    /// Counts requests, for taking turns.
    turn: AtomicUsize,
    /// Somebody looks after its members.
    looked_after: AtomicBool,
    /// It was said that none is up.
    said_down: AtomicBool,
}

/// One place.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) backend: Arc<Backend>,
    health: Health,
    /// In progress there.
    requests: AtomicUsize,
}

/// A request that is in progress at a member, for as long as it lives.
pub(crate) struct Visit<'a>(&'a Member);

impl Farm {
    /// None where the application is at one place.
    pub(crate) fn build(
        app: &BackendApp,
        internal: &InternalUrl,
        settings: &AppSettings,
        member: impl Fn(InternalUrl) -> Result<Backend, String>,
    ) -> Result<Option<Arc<Self>>, String> {
        let said = &settings.backends;
        if said.farm.is_empty() {
            return Ok(None);
        }
        said.check_farm(internal).map_err(|error| error.to_string())?;
        let others = said.farm.iter().map(|other| InternalUrl { path: internal.path.clone(), ..other.clone() });
        let urls = std::iter::once(internal.clone()).chain(others);
        let members = urls.map(|url| Ok(Member::new(member(url)?))).collect::<Result<Vec<_>, String>>()?;
        let check = match &said.health {
            Some(check) => Some((check.clone(), looking::target(&check.path)?)),
            None => None,
        };
        let cookie = match said.balance {
            Balance::Sticky => Some(MemberCookie::new(app, settings, &members)?),
            Balance::RoundRobin | Balance::LeastConnections => None,
        };
        Ok(Some(Arc::new(Self {
            app: app.name.to_string(),
            members,
            balance: said.balance,
            cookie,
            check,
            turn: AtomicUsize::new(0),
            looked_after: AtomicBool::new(false),
            said_down: AtomicBool::new(false),
        })))
    }

    /// Takes the cookie of the farm out of a request: the backend has no use for it. Gives the member that it names.
    pub(crate) fn take_cookie(&self, headers: &mut Headers) -> Option<usize> {
        self.cookie.as_ref()?.take(headers)
    }

    /// What the answer of a member says to the browser that came with a cookie naming `asked_for`.
    pub(crate) fn mark(&self, at: usize, asked_for: Option<usize>, scheme: ExternalScheme) -> Option<Marked> {
        let named = asked_for == Some(at);
        self.cookie.as_ref().map(|cookie| cookie.mark(at, named, scheme))
    }

    /// Members in the order in which a request tries them. Those that looks found down are not among them; those that could not be
    /// connected to a moment ago come last.
    pub(crate) fn order(&self, asked_for: Option<usize>, at: Instant) -> Vec<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.members.len();
        let mut order: Vec<usize> = (0..count).map(|next| turn.wrapping_add(next) % count).collect();
        order.retain(|member| !self.members[*member].health.is_down());
        if self.balance != Balance::RoundRobin {
            // Other threads change these numbers meanwhile: each is read once.
            order.sort_by_cached_key(|member| self.members[*member].requests());
        }
        order.sort_by_cached_key(|member| (self.members[*member].health.is_out(at), asked_for != Some(*member)));
        if order.is_empty() {
            self.say_down();
        } else {
            self.said_down.store(false, Ordering::Relaxed);
        }
        order
    }

    /// A request goes there.
    pub(crate) fn visit(&self, at: usize) -> Visit<'_> {
        let member = &self.members[at];
        member.requests.fetch_add(1, Ordering::Relaxed);
        Visit(member)
    }

    /// A request came to nothing there. Leaves the member out for a while where no connection could be made.
    pub(crate) fn failed(&self, at: usize, failed: &Failed, now: Instant) {
        // What goes wrong after that says nothing of other requests.
        let connecting = matches!(failed.fault, Fault::BackendRefused | Fault::BackendUnreachable)
            || failed.fault == Fault::BackendTls && failed.unprocessed;
        let member = &self.members[at];
        if connecting && member.health.leave_out(now) {
            let (app, place, detail) = (&self.app, &member.backend.internal, &failed.detail);
            tracing::warn!(app, member = %place, detail, "farm: no connection to this member; others are tried first");
        }
    }

    /// Of those that cannot be used, for the relay: where they are is nobody's business there.
    pub(crate) fn none_up() -> Failed {
        Failed::new(Fault::BackendUnreachable, "no member of the application's farm is up").unprocessed()
    }

    fn say_down(&self) {
        if !self.said_down.swap(true, Ordering::Relaxed) {
            let places: Vec<String> = self.members.iter().map(|member| member.backend.internal.to_string()).collect();
            tracing::error!(app = self.app, members = places.join(" "), "farm: no member is up");
        }
    }

    /// How many are not used now.
    pub(crate) fn members_down(&self) -> usize {
        self.members.iter().filter(|member| member.health.is_down()).count()
    }
}

impl Member {
    fn new(backend: Backend) -> Self {
        Self { backend: Arc::new(backend), health: Health::default(), requests: AtomicUsize::new(0) }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes how the members of these farms are.
pub(crate) fn describe(farms: &[Arc<Farm>], page: &mut Page) {
    if farms.is_empty() {
        return;
    }
    let help = "Whether a member of an application's farm is used, as this connector's looks at it found.";
    each(farms, page, ("postern_connector_member_up", help), |member| usize::from(!member.health.is_down()));
    let help = "Requests in progress at a member of an application's farm.";
    each(farms, page, ("postern_connector_member_requests", help), Member::requests);
    let help =
        "Times that no connection could be made to a member of an application's farm, and it was left out for a while.";
    let mut family = page.family("postern_connector_member_left_out_total", Kind::Counter, help);
    for (farm, member) in farms.iter().flat_map(|farm| farm.members.iter().map(move |member| (farm, member))) {
        let place = member.backend.internal.to_string();
        family.sample(&[("app", farm.app.as_str()), ("member", place.as_str())], member.health.times_left_out());
    }
}

fn each(farms: &[Arc<Farm>], page: &mut Page, (name, help): (&str, &str), value: impl Fn(&Member) -> usize) {
    let mut family = page.family(name, Kind::Gauge, help);
    for (farm, member) in farms.iter().flat_map(|farm| farm.members.iter().map(move |member| (farm, member))) {
        let place = member.backend.internal.to_string();
        family.sample(&[("app", farm.app.as_str()), ("member", place.as_str())], value(member));
    }
}

#[cfg(test)]
mod tests;
