//! Routes of a tenant's SCIM token.

use hyper::Method;
use postern_model::admin::Problem;

use super::routes::{Ask, Reply, created, reply};
use crate::{scim, tenants};

impl Ask<'_> {
    pub(super) fn scim(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&scim::show(control, &tenant)?),
            (&Method::POST, []) => created(&scim::enable(control, actor, &tenant, self.body()?)?),
            (&Method::POST, ["rotate"]) => created(&scim::rotate(control, actor, &tenant, self.body()?)?),
            (&Method::DELETE, []) => reply(&scim::disable(control, actor, &tenant)?),
            _ => Err(self.no_route()),
        }
    }
}
