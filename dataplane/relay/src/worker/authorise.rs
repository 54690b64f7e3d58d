//! Whether a request may reach its application. A [`Permit`] is made here only.

use std::sync::Arc;

use postern_model::config::Preauth;
use postern_model::plan::PlannedApp;

use super::reject::Reject;
use super::route::Routed;

/// A request that may pass.
#[derive(Debug)]
pub(crate) struct Permit {
    app: Arc<PlannedApp>,
}

impl Permit {
    pub(crate) fn app(&self) -> &Arc<PlannedApp> {
        &self.app
    }
}

/// Asks what the application's publication demands. `passthrough` leaves users to the application itself.
pub(crate) fn authorise(routed: Routed) -> Result<Permit, Reject> {
    match routed.app.preauth {
        Preauth::Passthrough => Ok(Permit { app: routed.app }),
        // Publishing refuses it; a relay that met it all the same lets nobody in.
        Preauth::Oidc => Err(Reject::preauth_unavailable()),
    }
}
