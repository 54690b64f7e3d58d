//! Routes of devices.

use hyper::Method;
use postern_model::admin::Problem;

use super::routes::{Ask, Reply, list, reply};
use crate::{devices, rollout, tenants};

impl Ask<'_> {
    pub(super) async fn devices(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let before = control.fleet.borrow().newest_sessions();
        let mut changed = match (method, rest) {
            (&Method::GET, []) => return reply(&devices::list(control, &devices::page(control, &tenant, query)?)?),
            (&Method::GET, [id]) => return reply(&devices::show(control, &tenant, id)?),
            (&Method::PATCH, [id]) => devices::set(control, actor, &tenant, id, self.body()?)?,
            (&Method::POST, [id, "approve"]) => devices::approve(control, actor, &tenant, id)?,
            (&Method::POST, [id, "block"]) => devices::block(control, actor, &tenant, id)?,
            (&Method::DELETE, [id]) => devices::remove(control, actor, &tenant, id)?,
            _ => return Err(self.no_route()),
        };
        changed.warnings.extend(self.told(before).await);
        reply(&changed)
    }

    pub(super) fn device_settings(&self, tenant: &str) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match *self.method {
            Method::GET => reply(&devices::settings(control, &tenant)?),
            Method::PATCH => reply(&devices::set_settings(control, actor, &tenant, self.body()?)?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn device_authorities(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (method, rest) {
            (&Method::GET, []) => reply(&list(devices::list_authorities(control, &tenant))),
            (&Method::POST, []) => self.confirmed(devices::add_authority(control, actor, &tenant, self.body()?)?).await,
            (&Method::DELETE, [name]) => {
                self.confirmed(devices::remove_authority(control, actor, &tenant, name)?).await
            }
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn device_host(&self) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        match *self.method {
            Method::PUT => {
                let mut set = devices::set_host(control, actor, self.body()?)?;
                set.warnings.extend(rollout::confirmed(control, set.version).await);
                reply(&set)
            }
            Method::DELETE => self.confirmed(devices::remove_host(control, actor)?).await,
            _ => Err(self.no_route()),
        }
    }
}
