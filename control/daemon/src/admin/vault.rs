//! Routes of the password vault.

use hyper::Method;
use postern_model::admin::Problem;

use super::directory::decoded;
use super::routes::{Ask, Reply, list, reply};
use crate::{tenants, vault};

impl Ask<'_> {
    pub(super) async fn vault(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let names = decoded(rest)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match (method, names.as_slice()) {
            (&Method::GET, []) => reply(&list(vault::list(control, &tenant)?)),
            (&Method::PUT, []) => self.confirmed(vault::put(control, actor, &tenant, self.body()?)?).await,
            (&Method::POST, ["sealing"]) => reply(&vault::sealing(control, &tenant, &self.body()?)?),
            (&Method::GET, ["keys", group]) => reply(&vault::show_key(control, &tenant, group)?),
            (&Method::PUT, ["keys", group]) => {
                self.confirmed(vault::set_key(control, actor, &tenant, group, &self.body()?)?).await
            }
            (&Method::DELETE, ["shared", app]) => {
                self.confirmed(vault::remove(control, actor, &tenant, app, None)?).await
            }
            (&Method::DELETE, ["users", app, user]) => {
                self.confirmed(vault::remove(control, actor, &tenant, app, Some(user))?).await
            }
            _ => Err(self.no_route()),
        }
    }
}
