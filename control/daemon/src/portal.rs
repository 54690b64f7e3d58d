//! The users' portal: what someone who is signed in sees there, and what they do. Whatever is asked, the browser's session says
//! whose it is; no request names a user.

mod devices;
mod groups;
pub(crate) mod passwords;
mod requests;
mod reviews;
mod sessions;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::directory::{User, assigned};
use postern_model::identity::Refused;
use postern_model::ids::{AppId, Name, UserGroupId};
use postern_model::portal::{Apps, PortalAction, PortalAnswer, PortalRequest, TILES_MAX, Tile, Visitor};
use postern_model::secret::SecretText;
use postern_model::session::SessionRecord;
use postern_model::settings::PortalSettings;

use crate::clock::now_unix;
use crate::control::{Actor, Control};
use crate::problem::not_found;
use crate::sessions::{record_of, secret_key};
use crate::store::StoredSession;
use crate::vault::own;

/// Who asks.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) session: StoredSession,
    record: SessionRecord,
    tenant: Name,
    /// Groups that they look after.
    owned: BTreeSet<UserGroupId>,
}

/// Everything there.
pub(crate) fn answer(control: &Control, request: &PortalRequest) -> PortalAnswer {
    let caller = match caller(control, &request.browser) {
        Ok(Some(caller)) => caller,
        Ok(None) => return PortalAnswer::Nobody {},
        Err(problem) => return refused(problem),
    };
    let answered = match &request.action {
        PortalAction::Apps {} => Ok(apps(control, &caller)),
        PortalAction::Icon { app } => Ok(icon(control, &caller, *app)),
        PortalAction::Sessions {} => sessions::shown(control, &caller),
        PortalAction::EndSession { session } => sessions::end(control, &caller, *session),
        PortalAction::EndOthers {} => sessions::end_others(control, &caller),
        PortalAction::Requests {} => requests::shown(control, &caller),
        PortalAction::Ask { app, justification } => requests::ask(control, &caller, *app, justification),
        PortalAction::Decide { request, approve, note } => requests::decide(control, &caller, *request, *approve, note),
        PortalAction::Reviews {} => reviews::shown(control, &caller),
        PortalAction::Review { review, principal, keep, note } => {
            reviews::decide(control, &caller, *review, (*principal, *keep, note))
        }
        PortalAction::Devices {} => devices::shown(control, &caller),
        PortalAction::RemoveDevice { device } => devices::remove(control, &caller, *device),
        PortalAction::Groups {} => groups::shown(control, &caller),
        PortalAction::Group { group } => groups::one(control, &caller, *group),
        PortalAction::ChangeMember { group, login, joins } => groups::change(control, &caller, *group, login, *joins),
    };
    answered.unwrap_or_else(refused)
}

impl Caller {
    /// What they do is recorded as theirs.
    pub(crate) fn actor(&self) -> Actor {
        Actor::User(self.user.login.clone())
    }

    fn visitor(&self) -> Visitor {
        Visitor {
            login: self.user.login.clone(),
            display_name: self.user.display_name.to_string(),
            tenant: self.tenant.clone(),
            owns_groups: !self.owned.is_empty(),
        }
    }

    fn groups(&self) -> BTreeSet<UserGroupId> {
        self.record.user.groups.keys().copied().collect()
    }
}

fn caller(control: &Control, browser: &SecretText) -> Result<Option<Caller>, Problem> {
    let key = secret_key(browser.expose());
    let Some(session) = control.sessions_in_store(|store| store.session_of_browser(&key))? else { return Ok(None) };
    let Some(record) = record_of(control, &session)? else { return Ok(None) };
    let Some(user) = control.directory(|store| store.user(session.user))? else { return Ok(None) };
    let owned = control.directory(|store| store.groups_owned(user.id))?;
    let snapshot = control.snapshot();
    let tenant = snapshot.tenants.get(&user.id.tenant).map(|tenant| tenant.name.clone());
    let tenant = tenant.ok_or_else(|| not_found("tenant", &user.id.tenant.to_string()))?;
    Ok(Some(Caller { user, session, record, tenant, owned }))
}

/// Assigned, shown, and somewhere to go. Conditional access is not looked at: its circumstances are those of a request.
fn apps(control: &Control, caller: &Caller) -> PortalAnswer {
    let mut tiles: Vec<Tile> = {
        let (now, groups) = (now_unix(), caller.groups());
        let snapshot = control.snapshot();
        let own = snapshot.apps.values().filter(|app| app.id.tenant == caller.user.id.tenant);
        let theirs = own.filter(|app| assigned(&snapshot.assignments, &caller.user, &groups, app.id, now).is_some());
        let identity = snapshot.identity.as_ref().map(|identity| identity.app);
        theirs.filter(|app| Some(app.id) != identity).filter_map(|app| tile(&snapshot, caller, app)).collect()
    };
    let by_name = |tile: &Tile| (tile.collection.clone(), tile.label.to_lowercase(), tile.app);
    tiles.sort_by_cached_key(by_name);
    let more = tiles.len() > TILES_MAX;
    tiles.truncate(TILES_MAX);
    PortalAnswer::Apps(Box::new(Apps { visitor: caller.visitor(), tiles, more }))
}

fn tile(snapshot: &Snapshot, caller: &Caller, app: &App) -> Option<Tile> {
    let settings = seen(caller, app)?;
    Some(Tile {
        app: app.id,
        label: label(app, &settings),
        url: settings.address(app)?,
        collection: settings.collection,
        icon: settings.icon.map(|png| URL_SAFE_NO_PAD.encode(&digest_of(&png)[..12])),
        password: own::is_by_users(app).then(|| own::state(snapshot, app, caller.user.id).0),
    })
}

/// How an application is shown to them; `None`: it is not. What cannot be read is not served either.
fn seen(caller: &Caller, app: &App) -> Option<PortalSettings> {
    let is_in = |group: &Name| caller.record.user.groups.values().any(|name| name == group);
    PortalSettings::parse(&app.settings).ok().filter(|settings| settings.is_visible(app.preauth, is_in))
}

/// What people call an application.
pub(crate) fn label(app: &App, settings: &PortalSettings) -> String {
    settings.name.as_ref().map_or_else(|| app.name.to_string(), ToString::to_string)
}

/// Of an application that they see.
fn icon(control: &Control, caller: &Caller, app: AppId) -> PortalAnswer {
    let snapshot = control.snapshot();
    let app = snapshot.apps.get(&app).filter(|app| app.id.tenant == caller.user.id.tenant);
    let is_theirs =
        |app: &&App| assigned(&snapshot.assignments, &caller.user, &caller.groups(), app.id, now_unix()).is_some();
    let settings = app.filter(is_theirs).and_then(|app| seen(caller, app));
    match settings.and_then(|settings| settings.icon) {
        Some(png) => PortalAnswer::Icon { png: STANDARD.encode(png) },
        None => PortalAnswer::Absent {},
    }
}

/// Names content.
fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

fn refused(problem: Problem) -> PortalAnswer {
    PortalAnswer::Refused(in_words(problem))
}

fn in_words(problem: Problem) -> Refused {
    Refused { code: problem.code, detail: problem.detail, retry_after_s: None }
}
