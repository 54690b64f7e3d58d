//! Clients of the OpenID provider, without their secrets.

use std::fmt::Write as _;

use postern_model::document::Document;
use postern_model::oauth::{ClientSettings, ClientType, ConsentBy};

use super::quoted;

pub(super) fn write(out: &mut String, document: &Document) {
    for (name, settings) in &document.clients {
        let ClientSettings { redirect_uris, device, kind, scopes, consent, disabled } = settings;
        let (kind, consent) = (
            match kind {
                ClientType::Public => "public",
                ClientType::Confidential => "confidential",
            },
            match consent {
                ConsentBy::Admin => "admin",
                ConsentBy::User => "user",
            },
        );
        let list = |items: Vec<String>| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
        // Writing to a string does not fail.
        let _ = write!(out, "\n[client.{name}]\n{kind} = true\n");
        if !redirect_uris.is_empty() {
            let uris = list(redirect_uris.iter().map(ToString::to_string).collect());
            let _ = writeln!(out, "redirect-uri = [{uris}]");
        }
        let _ = writeln!(out, "scope = [{}]", list(scopes.iter().map(ToString::to_string).collect()));
        let _ = writeln!(out, "consent = {}", quoted(consent));
        for (key, on) in [("device", *device), ("disabled", *disabled)] {
            if on {
                let _ = writeln!(out, "{key} = true");
            }
        }
    }
}
