//! Routes of conditional access policies.

use hyper::Method;
use postern_model::admin::{PolicyChanged, Problem};

use super::routes::{Ask, Reply, created, list, reply};
use crate::{policies, rollout, tenants};

impl Ask<'_> {
    pub(super) async fn policies(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (method, rest) {
            (&Method::GET, []) => reply(&list(policies::list(control, &tenant))),
            (&Method::POST, []) => {
                let mut changed: PolicyChanged = policies::create(control, actor, &tenant, self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                created(&changed)
            }
            (&Method::GET, [policy]) => reply(&policies::show(control, &tenant, policy)?),
            (&Method::PATCH, [policy]) => {
                let mut changed = policies::set(control, actor, &tenant, policy, self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            (&Method::DELETE, [policy]) => self.confirmed(policies::delete(control, actor, &tenant, policy)?).await,
            _ => Err(self.no_route()),
        }
    }

    pub(super) fn policy_replay(&self, tenant: &str) -> Result<Reply, Problem> {
        if self.method != Method::POST {
            return Err(self.no_route());
        }
        reply(&policies::replay(self.control, &tenants::find(self.control, tenant)?, &self.body()?)?)
    }

    pub(super) fn policy_what_if(&self, tenant: &str) -> Result<Reply, Problem> {
        if self.method != Method::POST {
            return Err(self.no_route());
        }
        reply(&policies::what_if(self.control, &tenants::find(self.control, tenant)?, self.body()?)?)
    }
}
