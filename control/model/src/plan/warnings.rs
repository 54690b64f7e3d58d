//! What an operator should know about an application that can be served all the same.

use super::PlannedApp;

impl PlannedApp {
    /// What an operator should know about it, whatever else there is.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.name;
        let mut warnings = Vec::new();
        if !self.external.tls {
            warnings.push(format!(
                "{name}: {} is plain text: anyone on the way can read and change it, and it is there where relays are started with --listen-http",
                self.external
            ));
        }
        if !self.internal.tls {
            warnings.push(format!(
                "{name}: the connector reaches {} in plain text: anyone on the way can read and change it",
                self.internal
            ));
        } else if !self.settings.backend_tls_verify {
            warnings.push(format!(
                "{name}: the certificate of {} is not verified (backend_tls_verify=false): set backend_ca instead",
                self.internal
            ));
        }
        warnings
    }
}
