//! Routes of the audit log and the sign-in log.

use hyper::Method;
use postern_model::admin::{AUDIT_LIMIT_DEFAULT, AUDIT_LIMIT_MAX, AuditRecord, Problem, SignInRecord, SignInResult};
use postern_model::chain::Mark;
use postern_model::config::Tenant;

use super::routes::{Ask, Reply, reply};
use crate::audit::{self, PageAsked};
use crate::control::Control;
use crate::problem::problem;
use crate::store::records::{AuditFilter, Order, ResultFilter, SignInFilter, Times, WhoSignedIn};
use crate::{apps, directory, tenants};

impl Ask<'_> {
    pub(super) async fn audit(&self, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let control = self.control;
        match (self.method, rest) {
            (&Method::GET, []) => {
                let (filter, page) = audit_query(control, query)?;
                reply(&audit::page::<AuditRecord>(control, &filter, page).await?)
            }
            (&Method::GET, ["head"]) => reply(&audit::heads(control)?),
            (&Method::GET, ["verify"]) => reply(&audit::verify::<AuditRecord>(control, expected(query)?).await?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn sign_ins(&self, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let control = self.control;
        match (self.method, rest) {
            (&Method::GET, []) => {
                let (filter, page) = sign_in_query(control, query)?;
                reply(&audit::page::<SignInRecord>(control, &filter, page).await?)
            }
            (&Method::GET, ["verify"]) => reply(&audit::verify::<SignInRecord>(control, expected(query)?).await?),
            _ => Err(self.no_route()),
        }
    }
}

fn audit_query(control: &Control, query: &str) -> Result<(AuditFilter, PageAsked), Problem> {
    let mut parsed = Query::parse(query, &["tenant", "actor", "action", "target"])?;
    let filter = AuditFilter {
        tenant: parsed.tenant(control)?.map(|tenant| tenant.id),
        action: parsed.take("action"),
        actor: parsed.take("actor"),
        target: parsed.take("target"),
        times: parsed.times,
    };
    Ok((filter, parsed.page()))
}

fn sign_in_query(control: &Control, query: &str) -> Result<(SignInFilter, PageAsked), Problem> {
    let mut parsed = Query::parse(query, &["tenant", "user", "app", "result", "session", "request"])?;
    let tenant = parsed.tenant(control)?;
    let user = match parsed.take("user") {
        Some(user) => Some(who(control, tenant.as_ref(), &user)?),
        None => None,
    };
    let app = match (parsed.take("app"), &tenant) {
        (Some(app), tenant) => Some(match (app.parse(), tenant) {
            // One that is gone has its id still.
            (Ok(id), _) => id,
            (Err(_), Some(tenant)) => apps::find_app(&control.snapshot(), tenant, &app)?.id,
            (Err(_), None) => return Err(tenant_needed("app", &app)),
        }),
        (None, _) => None,
    };
    let filter = SignInFilter {
        tenant: tenant.map(|tenant| tenant.id),
        user,
        app,
        result: parsed.take("result").map(result),
        session: parsed.id("session")?,
        request: parsed.id("request")?,
        times: parsed.times,
    };
    Ok((filter, parsed.page()))
}

/// A user by id or name, or else whoever typed this.
fn who(control: &Control, tenant: Option<&Tenant>, user: &str) -> Result<WhoSignedIn, Problem> {
    if let Some(tenant) = tenant {
        match directory::find_user(control, tenant, user) {
            Ok(user) => return Ok(WhoSignedIn::User(user.id)),
            Err(error) if error.code == "not-found" => {}
            Err(error) => return Err(error),
        }
    }
    // Someone who is gone has their id still.
    if let Ok(id) = user.parse() {
        return Ok(WhoSignedIn::User(id));
    }
    if tenant.is_none() {
        return Err(tenant_needed("user", user));
    }
    Ok(WhoSignedIn::Login(user.to_owned()))
}

fn result(text: String) -> ResultFilter {
    let all = [SignInResult::Success, SignInResult::Failure, SignInResult::Interrupted];
    match all.into_iter().find(|result| result.as_str() == text) {
        Some(result) => ResultFilter::Result(result),
        None => ResultFilter::Code(text),
    }
}

fn tenant_needed(what: &str, name: &str) -> Problem {
    problem("request-invalid", format!("{what}={name:?} is a name: say of which tenant, or give an id"))
}

fn expected(query: &str) -> Result<Option<Mark>, Problem> {
    let mut parsed = Query::parse(query, &["expect"])?;
    parsed.id("expect")
}

/// What is asked for, each thing once.
struct Query {
    given: Vec<(String, String)>,
    times: Times,
    before: Option<u64>,
    after: Option<u64>,
    limit: u32,
}

impl Query {
    fn parse(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let limit = AUDIT_LIMIT_DEFAULT;
        let mut parsed = Self { given: Vec::new(), times: Times::default(), before: None, after: None, limit };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<u64>().map_err(|_| wrong(&name, &value, "a number"));
            match &*name {
                "since" => parsed.times.since = Some(number()?),
                "until" => parsed.times.until = Some(number()?),
                "before" => parsed.before = Some(number()?),
                "after" => parsed.after = Some(number()?),
                "limit" => parsed.limit = u32::try_from(number()?).unwrap_or(u32::MAX).clamp(1, AUDIT_LIMIT_MAX),
                name if known.contains(&name) && parsed.find(name).is_none() => {
                    parsed.given.push((name.to_owned(), value.into_owned()));
                }
                name => {
                    let known = known.join(", ");
                    let detail = format!(
                        "the query has {name}={value:?}, which is not known here, or twice: {known}, since, until, before, after, limit"
                    );
                    return Err(problem("request-invalid", detail));
                }
            }
        }
        if parsed.before.is_some() && parsed.after.is_some() {
            return Err(problem("request-invalid", "give before= or after=, not both"));
        }
        Ok(parsed)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.given.iter().position(|(given, _)| given == name)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.find(name).map(|at| self.given.swap_remove(at).1)
    }

    fn tenant(&mut self, control: &Control) -> Result<Option<Tenant>, Problem> {
        self.take("tenant").map(|tenant| tenants::find(control, &tenant)).transpose()
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |value: String| value.parse().map_err(|error: T::Err| wrong(name, &value, &error.to_string()));
        self.take(name).map(parse).transpose()
    }

    fn page(&self) -> PageAsked {
        let order = if self.after.is_some() { Order::OldestFirst } else { Order::NewestFirst };
        PageAsked { from: self.before.or(self.after), order, limit: self.limit }
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> Problem {
    let value: String = value.chars().take(80).collect();
    problem("request-invalid", format!("the query {name}={value:?}: {expected}"))
}
