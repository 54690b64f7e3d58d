//! What an operator should know about an application that can be served all the same.

use super::PlannedApp;
use crate::app_url::{ExternalUrl, InternalUrl};
use crate::config::Preauth;
use crate::sso::SsoLogin;

impl PlannedApp {
    /// What an operator should know about it, whatever else there is.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.places.iter().filter_map(|place| self.of_external(&place.external)).collect();
        let mut told: Vec<&InternalUrl> = Vec::new();
        for internal in self.places.iter().map(|place| &place.internal) {
            if !told.contains(&internal) {
                told.push(internal);
                warnings.extend(self.of_internal(internal));
            }
        }
        warnings.extend(self.without_realm());
        warnings.extend(self.of_answers());
        warnings
    }

    fn of_external(&self, external: &ExternalUrl) -> Option<String> {
        let name = &self.name;
        (!external.tls).then(|| {
            format!(
                "{name}: {external} is plain text: anyone on the way can read and change it, and it is there where relays are started with --listen-http"
            )
        })
    }

    fn of_internal(&self, internal: &InternalUrl) -> Option<String> {
        let name = &self.name;
        if !internal.tls && !internal.is_loopback() {
            return Some(format!(
                "{name}: the connector reaches {internal} in plain text: anyone on the way can read and change it"
            ));
        }
        (internal.tls && !self.settings.backend_tls_verify).then(|| {
            format!("{name}: the certificate of {internal} is not verified (backend_tls_verify=false): set backend_ca instead")
        })
    }

    /// What relays answer by themselves, or have browsers do.
    fn of_answers(&self) -> Vec<String> {
        let (name, answers) = (&self.name, &self.settings.answers);
        let risks = if self.preauth == Preauth::Oidc { answers.cookie.risks() } else { Vec::new() };
        let off = "maintenance: every request is answered with 503 until it is set to off";
        let off = answers.maintenance.is_some().then_some(off);
        let said = risks.into_iter().chain(off).map(|said| format!("{name}: {said}"));
        said.chain(self.of_preflights()).collect()
    }

    /// Who gets in without being asked.
    fn of_preflights(&self) -> Option<String> {
        let path = self.settings.answers.cors.as_ref().filter(|_| self.preauth == Preauth::Oidc)?.passes()?;
        let name = &self.name;
        Some(format!(
            "{name}: cors={path}/ pass: whoever sends a preflight there, from anywhere and without signing in, reaches the application: list origins instead, unless it has to answer them itself"
        ))
    }

    /// Whom Kerberos has no name for, as nothing says of which realm they are.
    fn without_realm(&self) -> Option<String> {
        let sso = &self.settings.sso;
        let spn = sso.kerberos()?;
        if sso.realm.is_some() || spn.as_str().contains('@') {
            return None;
        }
        let whom = match sso.login {
            SsoLogin::Upn => "users whose login has no @",
            SsoLogin::OnPremUpn => "users whose onprem_upn has no @",
            SsoLogin::UserPart | SsoLogin::SamAccountName => "users",
        };
        let name = &self.name;
        Some(format!(
            "{name}: {whom} cannot be signed on, as nothing says their realm: write sso_spn={spn}@REALM, or set sso_realm"
        ))
    }
}
