//! Routes of sources of users.

use hyper::Method;
use postern_model::admin::Problem;

use super::routes::{Ask, Reply, created, list, reply};
use crate::{directory_sync, tenants};

impl Ask<'_> {
    pub(super) async fn directory_sync(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(directory_sync::list(control, &tenant)?)),
            (&Method::POST, []) => created(&directory_sync::add(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [name]) => reply(&directory_sync::show(control, &tenant, name)?),
            (&Method::PATCH, [name]) => reply(&directory_sync::set(control, actor, &tenant, name, self.body()?)?),
            (&Method::POST, [name, "run"]) => reply(&directory_sync::run(control, actor, &tenant, name, self.body()?)?),
            (&Method::DELETE, [name]) => self.confirmed(directory_sync::remove(control, actor, &tenant, name)?).await,
            _ => Err(self.no_route()),
        }
    }
}
