//! Routes of certificates. A successor is shown by the relays when the answer comes.

use hyper::Method;
use postern_model::admin::Problem;

use super::routes::{Ask, Reply, created, list, reply};
use crate::{acme, certificates, rollout, tenants};

impl Ask<'_> {
    pub(super) async fn certificates(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (method, rest) {
            (&Method::GET, []) => reply(&list(certificates::list(control, &tenant))),
            (&Method::POST, []) => {
                let mut added = certificates::add(control, actor, &tenant, &self.body()?)?;
                added.warnings.extend(rollout::confirmed(control, added.version).await);
                created(&added)
            }
            (&Method::POST, ["order"]) => {
                let mut added = acme::request(control, actor, &tenant, self.body()?).await?;
                added.warnings.extend(rollout::confirmed(control, added.version).await);
                created(&added)
            }
            (&Method::POST, [id, "renew"]) => {
                let mut added = acme::renew_now(control, actor, &tenant, id).await?;
                added.warnings.extend(rollout::confirmed(control, added.version).await);
                reply(&added)
            }
            (&Method::GET, [id]) => reply(&certificates::show(control, &tenant, id)?),
            (&Method::PUT, [id]) => {
                let mut added = certificates::replace(control, actor, &tenant, id, &self.body()?)?;
                added.warnings.extend(rollout::confirmed(control, added.version).await);
                reply(&added)
            }
            (&Method::DELETE, [id]) => reply(&certificates::remove(control, actor, &tenant, id)?),
            _ => Err(self.no_route()),
        }
    }
}
