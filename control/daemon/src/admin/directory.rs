//! Routes of the directory: users, user groups, assignments, and documents, which hold them too.

use hyper::Method;
use postern_model::admin::{AssignmentChanged, ChangeMembers, CreateUser, DecideAccess, Problem, SetPassword};

use super::routes::{Ask, Reply, created, list, reply};
use crate::problem::problem;
use crate::{access_requests, access_reviews, apply, assignments, factors, idps, rollout, tenants, user_groups, users};

impl Ask<'_> {
    pub(super) async fn users(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let before = control.fleet.borrow().newest_sessions();
        let names = decoded(rest)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match (method, names.as_slice()) {
            (&Method::GET, []) => reply(&users::list(control, &tenant, users::page(&tenant, query)?)?),
            (&Method::POST, []) => {
                let mut request: CreateUser = self.body()?;
                let hash = match request.password.take() {
                    Some(password) => Some(control.hasher.hash(password, request.login.as_str()).await?),
                    None => None,
                };
                created(&users::create(control, actor, &tenant, request, hash)?)
            }
            (&Method::GET, [user]) => reply(&users::show(control, &tenant, user)?),
            (&Method::PATCH, [user]) => {
                let mut changed = users::set(control, actor, &tenant, user, self.body()?)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::PUT, [user, "password"]) => {
                let login = crate::directory::find_user(control, &tenant, user)?.login;
                let SetPassword { password } = self.body()?;
                let hash = control.hasher.hash(password, login.as_str()).await?;
                let mut changed = users::set_password(control, actor, &tenant, user, hash)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::GET, [user, "factors"]) => reply(&factors::list(control, &tenant, user)?),
            (&Method::DELETE, [user, "factors"]) => {
                self.confirmed(factors::reset(control, actor, &tenant, user)?).await
            }
            (&Method::DELETE, [user, "factors", factor]) => {
                self.confirmed(factors::remove(control, actor, &tenant, user, factor)?).await
            }
            (&Method::POST, [user, "link"]) => reply(&idps::link(control, actor, &tenant, user, self.body()?)?),
            (&Method::DELETE, [user]) => self.confirmed(users::delete(control, actor, &tenant, user)?).await,
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn user_groups(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let before = control.fleet.borrow().newest_sessions();
        match (method, rest) {
            (&Method::GET, []) => reply(&list(user_groups::list(control, &tenant)?)),
            (&Method::POST, []) => created(&user_groups::create(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [group]) => reply(&user_groups::show(control, &tenant, group).await?),
            (&Method::PATCH, [group]) => {
                let mut changed = user_groups::set(control, actor, &tenant, group, self.body()?)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::PATCH, [group, "members"]) => {
                let request: ChangeMembers = self.body()?;
                let mut changed = user_groups::change_members(control, actor, &tenant, group, &request)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::DELETE, [group]) => {
                let force = switch(query, "force")?;
                self.confirmed(user_groups::delete(control, actor, &tenant, group, force)?).await
            }
            _ => Err(self.no_route()),
        }
    }

    /// Waits until relays go by what sessions have become since `before`, and names those that do not. Where none has changed
    /// nothing is waited for.
    pub(super) async fn told(&self, before: u64) -> Vec<String> {
        let is_as_before = self.control.fleet.borrow().newest_sessions() == before;
        if is_as_before {
            return Vec::new();
        }
        let version = self.control.snapshot().version;
        rollout::confirmed(self.control, version).await
    }

    pub(super) fn membership_test(&self, tenant: &str) -> Result<Reply, Problem> {
        if self.method != Method::POST {
            return Err(self.no_route());
        }
        reply(&user_groups::test(self.control, &tenants::find(self.control, tenant)?, self.body()?)?)
    }

    pub(super) async fn assignments(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let (control, actor) = (self.control, self.actor);
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => {
                let query = assignments::query(control, &tenant, query)?;
                reply(&list(assignments::list(control, &tenant, &query)?))
            }
            (&Method::PUT, []) => {
                let mut changed: AssignmentChanged = assignments::put(control, actor, &tenant, &self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            (&Method::DELETE, [app, principal @ ..]) => {
                let principal = decoded(principal)?.join("/");
                self.confirmed(assignments::remove(control, actor, &tenant, app, &principal)?).await
            }
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn access_requests(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let (control, actor) = (self.control, self.actor);
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(access_requests::list(control, &tenant, switch(query, "all")?)?)),
            (&Method::POST, [request, decision @ ("approve" | "deny")]) => {
                let DecideAccess { note } = self.body()?;
                let (before, approved) = (control.fleet.borrow().newest_sessions(), *decision == "approve");
                let mut decided = access_requests::decide_by_id(control, actor, &tenant, request, approved, note)?;
                decided.warnings.extend(match self.told(before).await {
                    told if told.is_empty() => rollout::confirmed(control, decided.version).await,
                    told => told,
                });
                reply(&decided)
            }
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn access_reviews(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let (control, actor) = (self.control, self.actor);
        let tenant = tenants::find(control, tenant)?;
        let mut changed = match (self.method, rest) {
            (&Method::GET, []) => return reply(&list(access_reviews::list(control, &tenant, switch(query, "all")?)?)),
            (&Method::GET, [review]) => return reply(&access_reviews::show(control, &tenant, review)?),
            (&Method::POST, []) => {
                return created(&access_reviews::start(control, actor, &tenant, self.body()?)?);
            }
            (&Method::POST, [review, "decide"]) => {
                access_reviews::decide(control, actor, &tenant, review, self.body()?)?
            }
            (&Method::POST, [review, "finish"]) => {
                access_reviews::finish(control, actor, &tenant, review, &self.body()?)?
            }
            _ => return Err(self.no_route()),
        };
        changed.warnings.extend(rollout::confirmed(control, changed.version).await);
        reply(&changed)
    }

    pub(super) fn document(&self, tenant: &str, query: &str) -> Result<Reply, Problem> {
        if self.method != Method::GET {
            return Err(self.no_route());
        }
        let tenant = tenants::find(self.control, tenant)?;
        reply(&apply::export(self.control, &tenant, !switch(query, "without_users")?)?)
    }
}

/// A query that is nothing but one switch.
pub(super) fn switch(query: &str, name: &str) -> Result<bool, Problem> {
    match query.split_once('=') {
        None if query.is_empty() => Ok(false),
        Some((found, "true")) if found == name => Ok(true),
        Some((found, "false")) if found == name => Ok(false),
        Some(_) | None => Err(problem("request-invalid", format!("the query {query:?} is not {name}=true"))),
    }
}

/// Segments of a path without their percent-encoding (RFC 3986 §2.1): login names have `@` and `%` in them.
pub(super) fn decoded(segments: &[&str]) -> Result<Vec<String>, Problem> {
    segments.iter().map(|segment| decode(segment)).collect()
}

fn decode(segment: &str) -> Result<String, Problem> {
    let malformed = || problem("request-invalid", format!("{segment:?} is not percent-encoded text"));
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte).map_err(|_| malformed())?;
                bytes.extend(byte);
                tail
            }
            (b'%', _) => return Err(malformed()),
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(decode("anna%40example.com").unwrap(), "anna@example.com");
        assert_eq!(decode("a%2525").unwrap(), "a%25");
        for wrong in ["%", "%4", "%zz", "%ff"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_switch_is_on_off_or_absent() {
        assert!(!switch("", "force").unwrap() && switch("force=true", "force").unwrap());
        assert!(!switch("force=false", "force").unwrap());
        assert!(switch("force", "force").is_err() && switch("farce=true", "force").is_err());
    }
}
