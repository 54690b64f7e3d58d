//! Routes of the place to sign in, and of sessions.

use hyper::Method;
use postern_model::admin::Problem;

use super::routes::{Ask, Reply, created, list, reply};
use crate::oauth::clients;
use crate::problem::problem;
use crate::sign_in::external::probes;
use crate::{identity, idps, kerberos, rollout, saml, sessions, tenants};

impl Ask<'_> {
    pub(super) async fn identity(&self) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        match *self.method {
            Method::GET => reply(&identity::show(control)?),
            Method::PUT => {
                let mut published = identity::publish(control, actor, self.body()?)?;
                published.warnings.extend(rollout::confirmed(control, published.version).await);
                reply(&published)
            }
            Method::DELETE => self.confirmed(identity::unpublish(control, actor)?).await,
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn app_suffix(&self, tenant: &str) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match *self.method {
            Method::PUT => self.confirmed(tenants::app_suffix::set(control, actor, &tenant, self.body()?)?).await,
            Method::DELETE => self.confirmed(tenants::app_suffix::remove(control, actor, &tenant)?).await,
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn saml(&self, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&saml::show(control).await?),
            (&Method::POST, ["rotate"]) => reply(&saml::rotate(control, actor, self.body()?).await?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) fn kerberos(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&kerberos::show(control, &tenant)?),
            (&Method::PUT, []) => reply(&kerberos::set(control, actor, &tenant, self.body()?)?),
            (&Method::DELETE, []) => reply(&kerberos::remove(control, actor, &tenant)?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn providers(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(idps::list(control, &tenant)?)),
            (&Method::POST, []) => created(&idps::add(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [name, "probe"]) => reply(&probes::probe(control, &tenant, name).await?),
            (&Method::GET, [name]) => reply(&idps::show(control, &tenant, name)?),
            (&Method::PATCH, [name]) => reply(&idps::set(control, actor, &tenant, name, self.body()?)?),
            (&Method::DELETE, [name]) => reply(&idps::remove(control, actor, &tenant, name)?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) fn clients(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(clients::list(control, &tenant)?)),
            (&Method::POST, []) => created(&clients::add(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [name]) => reply(&clients::show(control, &tenant, name)?),
            (&Method::PATCH, [name]) => reply(&clients::set(control, actor, &tenant, name, self.body()?)?),
            (&Method::POST, [name, "rotate"]) => reply(&clients::rotate(control, actor, &tenant, name)?),
            (&Method::DELETE, [name]) => reply(&clients::remove(control, actor, &tenant, name)?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn sessions(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => {
                let mut user = None;
                for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                    if name != "user" || user.is_some() {
                        return Err(problem("request-invalid", format!("the query {name}={value:?} is not user=")));
                    }
                    user = Some(value.into_owned());
                }
                reply(&list(sessions::list(control, &tenant, user.as_deref())?))
            }
            (&Method::POST, ["revoke"]) => {
                let mut ended = sessions::revoke(control, actor, &tenant, &self.body()?)?;
                ended.warnings.extend(rollout::confirmed(control, ended.version).await);
                reply(&ended)
            }
            _ => Err(self.no_route()),
        }
    }
}
