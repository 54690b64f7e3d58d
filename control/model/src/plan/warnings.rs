//! What an operator should know about an application that can be served all the same.

use std::net::IpAddr;

use super::PlannedApp;
use crate::config::Preauth;
use crate::sso::SsoLogin;

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
        if !self.internal.tls && !self.is_beside_its_connector() {
            warnings.push(format!(
                "{name}: the connector reaches {} in plain text: anyone on the way can read and change it",
                self.internal
            ));
        } else if self.internal.tls && !self.settings.backend_tls_verify {
            warnings.push(format!(
                "{name}: the certificate of {} is not verified (backend_tls_verify=false): set backend_ca instead",
                self.internal
            ));
        }
        warnings.extend(self.without_realm());
        warnings.extend(self.of_answers());
        warnings
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

    /// Whether what goes there leaves no host.
    fn is_beside_its_connector(&self) -> bool {
        let host = &*self.internal.host;
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
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
