//! Where a browser may be sent back to for an application.

use postern_model::app_url::ExternalUrl;
use postern_model::identity::CALLBACK_PATH;

/// Exactly what the application's relay says: compared as text, for a wildcard after its first labels.
pub(super) fn is_callback(uri: &str, external: &ExternalUrl) -> bool {
    let port = if external.port == 443 { String::new() } else { format!(":{}", external.port) };
    let rest = format!("{}{port}{}{CALLBACK_PATH}", external.host, external.path);
    let Some(host_on) = uri.strip_prefix("https://").and_then(|uri| uri.strip_suffix(&rest)) else { return false };
    if !external.wildcard {
        return host_on.is_empty();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host_on.strip_suffix('.').is_some_and(|labels| labels.len() < 250 && labels.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_applications_own_callback_is_returned_to() {
        let plain = ExternalUrl::parse("https://crm.example.com:8443/app/").unwrap();
        assert!(is_callback("https://crm.example.com:8443/app/.postern/callback", &plain));
        for wrong in [
            "https://crm.example.com/app/.postern/callback",
            "http://crm.example.com:8443/app/.postern/callback",
            "https://crm.example.com:8443/.postern/callback",
            "https://crm.example.com:8443/app/.postern/callback?x",
            "https://crm.example.com:8443/app/.postern/callback#x",
            "https://crm.example.com:8443/app/.postern/callback/",
            "https://evil.example/https://crm.example.com:8443/app/.postern/callback",
            "https://evil@crm.example.com:8443/app/.postern/callback",
            "https://xcrm.example.com:8443/app/.postern/callback",
            "https://CRM.example.com:8443/app/.postern/callback",
            "",
        ] {
            assert!(!is_callback(wrong, &plain), "{wrong}");
        }
        let wild = ExternalUrl::parse("https://*.apps.example.com/").unwrap();
        for right in
            ["https://a.apps.example.com/.postern/callback", "https://a.b-c.apps.example.com/.postern/callback"]
        {
            assert!(is_callback(right, &wild), "{right}");
        }
        for wrong in [
            "https://apps.example.com/.postern/callback",
            "https://.apps.example.com/.postern/callback",
            "https://evil.example/.apps.example.com/.postern/callback",
            "https://evil.example?.apps.example.com/.postern/callback",
            "https://a@b.apps.example.com/.postern/callback",
            "https://A.apps.example.com/.postern/callback",
            "https://a..apps.example.com/.postern/callback",
            "https://a:1.apps.example.com/.postern/callback",
        ] {
            assert!(!is_callback(wrong, &wild), "{wrong}");
        }
    }
}
