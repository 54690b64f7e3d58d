//! Users: asked for, made, replaced, patched, removed.

use std::collections::BTreeMap;

use postern_model::admin::{CreateUser, Problem, SetUser};
use postern_model::directory::User;
use postern_model::ids::UserId;
use postern_model::scim::{Answer, Filter, PatchOp, ScimError, UserInput, apply, list_json, user_json};
use serde_json::Value;

use super::Scim;
use super::query::ListQuery;
use super::reply::{PageSize, meta, ok, problem_of};
use crate::clock::now_unix_ms;
use crate::control::{Audit, Draft};
use crate::limits::{SCIM_RESULTS_MAX, USERS_AT_ONCE};
use crate::password::PasswordHash;
use crate::store::{DirectoryChange, Marks};
use crate::users;

/// A user as it is.
struct Known {
    user: User,
    marks: Marks,
}

impl Scim<'_> {
    pub(super) async fn list_users(&self, query: &ListQuery) -> Result<Answer, ScimError> {
        let Some(filter) = &query.filter else { return self.all_users(query) };
        let (mut total, mut page, mut size) = (0, Vec::new(), PageSize::default());
        let mut take = |users: Vec<User>| -> Result<(), ScimError> {
            for json in self.as_json(users)?.into_iter().filter(|json| filter.matches(json)) {
                total += 1;
                let is_next = page.len() < query.count && total == query.start + page.len();
                if is_next && size.has_room(&json) {
                    page.push(query.projection.of(json));
                }
            }
            Ok(())
        };
        if let Some(found) = filter.conditions().iter().find_map(|one| self.indexed(one)) {
            take(found.map_err(problem_of)?)?;
        } else {
            let (control, mut last) = (self.control, 0);
            loop {
                let users = control.directory(|store| store.users_after(self.tenant.id, last, USERS_AT_ONCE));
                let users = users.map_err(problem_of)?;
                let Some(end) = users.last().map(|user| user.id.seq) else { break };
                take(users)?;
                last = end;
                // Whoever looks at many pays for many, and others get their turn.
                control.scim.borrow_mut().charge(self.tenant.id, now_unix_ms());
                tokio::task::yield_now().await;
            }
        }
        Ok(ok(list_json(page, total, query.start)))
    }

    /// What an index finds for a condition that must hold, if there is one for it.
    fn indexed(&self, condition: &Filter) -> Option<Result<Vec<User>, Problem>> {
        let tenant = self.tenant.id;
        if let Some(login) = condition.is_eq("userName") {
            let Ok(login) = login.to_ascii_lowercase().parse() else { return Some(Ok(Vec::new())) };
            let found = self.control.directory(|store| store.user_by_login(tenant, &login));
            return Some(found.map(|user| user.into_iter().collect()));
        }
        if let Some(id) = condition.is_eq("id") {
            let Some(id) = self.user_id(id) else { return Some(Ok(Vec::new())) };
            return Some(self.control.directory(|store| store.user(id)).map(|user| user.into_iter().collect()));
        }
        let external_id = condition.is_eq("externalId")?;
        let most = u32::try_from(SCIM_RESULTS_MAX).unwrap_or(u32::MAX);
        Some(self.control.scim_rows(|store| store.users_called(tenant, external_id, most)))
    }

    fn all_users(&self, query: &ListQuery) -> Result<Answer, ScimError> {
        let tenant = self.tenant.id;
        let total = self.control.directory(|store| store.user_count(tenant)).map_err(problem_of)?;
        let as_u32 = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (skip, count) = (as_u32(query.start - 1), as_u32(query.count));
        let users = self.control.scim_rows(|store| store.users_from(tenant, skip, count)).map_err(problem_of)?;
        let mut size = PageSize::default();
        let page = self.as_json(users)?.into_iter().take_while(|json| size.has_room(json));
        let page = page.map(|json| query.projection.of(json)).collect();
        Ok(ok(list_json(page, total as usize, query.start)))
    }

    pub(super) fn show_user(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known(id)?;
        self.resource(200, self.json(&known.user, &known.marks))
    }

    pub(super) async fn create_user(&self) -> Result<Answer, ScimError> {
        let mut input = UserInput::read(self.body()?)?;
        let hash = self.hashed(&mut input).await?;
        let id = self.write(None, input, hash)?;
        let known = self.known(&id.to_string())?;
        self.resource(201, self.json(&known.user, &known.marks))
    }

    pub(super) async fn replace_user(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known(id)?;
        self.change_user(known, UserInput::read(self.body()?)?).await
    }

    pub(super) async fn patch_user(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known(id)?;
        let Value::Object(mut resource) = self.json(&known.user, &known.marks) else {
            return Err(ScimError::status(500, "a user is no object"));
        };
        apply(&mut resource, &PatchOp::read(self.body()?)?)?;
        self.change_user(known, UserInput::read_exactly(&Value::Object(resource))?).await
    }

    pub(super) fn delete_user(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known(id)?;
        self.check_version(&self.version(&known.marks))?;
        users::delete(self.control, &self.actor, &self.tenant, &known.user.id.to_string()).map_err(problem_of)?;
        Ok(Answer { status: 204, ..Answer::default() })
    }

    async fn change_user(&self, known: Known, mut input: UserInput) -> Result<Answer, ScimError> {
        self.check_version(&self.version(&known.marks))?;
        let hash = self.hashed(&mut input).await?;
        let id = known.user.id.to_string();
        // While a password was hashed somebody else may have been here.
        if self.known(&id)?.marks != known.marks {
            return Err(ScimError::status(409, "the user was changed by somebody else meanwhile: ask again"));
        }
        self.write(Some(&known), input, hash)?;
        let known = self.known(&id)?;
        self.resource(200, self.json(&known.user, &known.marks))
    }

    async fn hashed(&self, input: &mut UserInput) -> Result<Option<PasswordHash>, ScimError> {
        let Some(password) = input.password.take() else { return Ok(None) };
        let hash = self.control.hasher.hash(password, input.login.as_str()).await;
        hash.map(Some).map_err(|problem| ScimError::value("password", problem_of(problem)))
    }

    /// All of it as one change.
    fn write(&self, before: Option<&Known>, input: UserInput, hash: Option<PasswordHash>) -> Result<UserId, ScimError> {
        let UserInput { login, display_name, mail, attributes, enabled, external_id, password: _ } = input;
        let Self { control, tenant, actor, .. } = self;
        let external_id = external_id.map(|id| id.as_str().to_owned());
        let change = || -> Result<UserId, Problem> {
            let id = match before {
                Some(known) => {
                    let name = known.user.id.to_string();
                    let set = SetUser {
                        login: Some(login),
                        display_name: Some(display_name),
                        mail: Some(mail),
                        attributes,
                        enabled: Some(enabled),
                        ..SetUser::default()
                    };
                    users::set(control, actor, tenant, &name, set)?;
                    if let Some(hash) = hash {
                        users::set_password(control, actor, tenant, &name, hash)?;
                    }
                    known.user.id
                }
                None => {
                    let given = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
                    let attributes: BTreeMap<_, _> = given.collect();
                    let (guest, expires_unix, password) = (false, None, None);
                    let request = CreateUser { login, display_name, mail, attributes, guest, expires_unix, password };
                    let user = users::create(control, actor, tenant, request, hash)?.user;
                    if !enabled {
                        let set = SetUser { enabled: Some(false), ..SetUser::default() };
                        users::set(control, actor, tenant, &user.id.to_string(), set)?;
                    }
                    user.id
                }
            };
            self.link_user(id, before.and_then(|known| known.marks.external_id.clone()), external_id)?;
            Ok(id)
        };
        control.staged(actor, change, |_, _| true).map(|(id, _)| id).map_err(problem_of)
    }

    /// What the client calls a user.
    fn link_user(&self, id: UserId, before: Option<String>, after: Option<String>) -> Result<(), Problem> {
        if before == after {
            return Ok(());
        }
        let mut draft = Draft::default();
        let tenant = Some(self.tenant.id);
        let say = |id: &String| format!("external_id={id:?}");
        draft.audit(Audit {
            action: "scim.link",
            tenant,
            target: format!("user {id}"),
            before: before.as_ref().map(say),
            after: after.as_ref().map(say),
        });
        draft.directory(DirectoryChange::ExternalIdPut(id, after));
        self.control.commit(&self.actor, draft).map(drop)
    }

    fn known(&self, id: &str) -> Result<Known, ScimError> {
        let missing = || ScimError::status(404, "there is no such user");
        let id = self.user_id(id).ok_or_else(missing)?;
        let user = self.control.directory(|store| store.user(id)).map_err(problem_of)?.ok_or_else(missing)?;
        let marks = self.control.scim_rows(|store| store.user_marks(id.tenant, id.seq, id.seq)).map_err(problem_of)?;
        Ok(Known { user, marks: marks.into_values().next().unwrap_or_default() })
    }

    /// An id of the token's tenant; others are nobody here.
    fn user_id(&self, id: &str) -> Option<UserId> {
        id.parse().ok().filter(|id: &UserId| id.tenant == self.tenant.id)
    }

    fn as_json(&self, users: Vec<User>) -> Result<Vec<Value>, ScimError> {
        let numbers = || users.iter().map(|user| user.id.seq);
        let Some((first, last)) = numbers().min().zip(numbers().max()) else { return Ok(Vec::new()) };
        let marks = self.control.scim_rows(|store| store.user_marks(self.tenant.id, first, last));
        let marks = marks.map_err(problem_of)?;
        let nothing = Marks::default();
        Ok(users.iter().map(|user| self.json(user, marks.get(&user.id).unwrap_or(&nothing))).collect())
    }

    fn json(&self, user: &User, marks: &Marks) -> Value {
        let location = format!("{}/Users/{}", self.place, user.id);
        user_json(user, marks.external_id.as_deref(), &meta(marks, Some(user.created_unix_ms), location))
    }

    pub(super) fn version(&self, marks: &Marks) -> String {
        meta(marks, None, String::new()).version
    }
}
