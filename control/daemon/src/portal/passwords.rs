//! A user's own password in an application, where users enter it themselves: what is stored, and what they store. Whose it is the
//! browser's session says; applications of others, and those whose operators enter passwords, have no such page.

use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::directory::assigned;
use postern_model::ids::AppId;
use postern_model::portal::{PasswordAction, PasswordAnswer, PasswordPage, PasswordRequest};
use postern_model::settings::PortalSettings;

use super::requests::called;
use super::{Caller, caller, in_words};
use crate::clock::now_unix;
use crate::control::Control;
use crate::sign_in;
use crate::vault::own;

/// Everything there: only for who proved lately who they are, for whoever finds a browser open must not enter a password there
/// that is not its owner's, nor take theirs away.
pub(crate) fn answer(control: &Control, request: &PasswordRequest) -> PasswordAnswer {
    let PasswordRequest { browser, app, action, client } = request;
    let caller = match caller(control, browser) {
        Ok(Some(caller)) => caller,
        Ok(None) => return PasswordAnswer::Nobody {},
        Err(problem) => return PasswordAnswer::Refused(in_words(problem)),
    };
    let Some(app) = theirs(control, &caller, *app) else { return PasswordAnswer::Absent {} };
    match sign_in::before_password(control, browser, client, app.id) {
        Ok(None) => {}
        Ok(Some(step)) => return PasswordAnswer::Step(Box::new(step)),
        Err(refused) => return PasswordAnswer::Refused(refused),
    }
    done(control, &caller, &app, action).unwrap_or_else(|problem| PasswordAnswer::Refused(in_words(problem)))
}

fn done(control: &Control, caller: &Caller, app: &App, action: &PasswordAction) -> Result<PasswordAnswer, Problem> {
    let user = &caller.user;
    match action {
        PasswordAction::Show {} => Ok(page(control, caller, app)),
        PasswordAction::Seal {} => {
            let sealing = own::sealing(&control.snapshot(), app, user.id)?;
            Ok(PasswordAnswer::Sealing(Box::new(sealing)))
        }
        PasswordAction::Put(given) => own::put(control, user, app, (**given).clone()).map(|()| PasswordAnswer::Done {}),
        PasswordAction::Remove {} => own::remove(control, user, app).map(|()| PasswordAnswer::Done {}),
    }
}

/// One that they are assigned to, shown in the portal or not, and enter their password for.
fn theirs(control: &Control, caller: &Caller, app: AppId) -> Option<App> {
    let snapshot = control.snapshot();
    let app = snapshot.apps.get(&app).filter(|app| app.id.tenant == caller.user.id.tenant)?;
    let is_theirs = assigned(&snapshot.assignments, &caller.user, &caller.groups(), app.id, now_unix()).is_some();
    (is_theirs && own::is_by_users(app)).then(|| app.clone())
}

fn page(control: &Control, caller: &Caller, app: &App) -> PasswordAnswer {
    let (state, set_unix) = own::state(&control.snapshot(), app, caller.user.id);
    PasswordAnswer::Page(Box::new(PasswordPage {
        visitor: caller.visitor(),
        app: app.id,
        label: called(app),
        url: PortalSettings::parse(&app.settings).ok().and_then(|settings| settings.address(app)),
        state,
        set_unix,
        now_unix: now_unix(),
    }))
}
