//! `postern identity saml …`.

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{RotateSaml, SamlKeyView, SamlView, path};

use super::super::Context;
use crate::args::SamlCommand;
use crate::output::details;
use crate::time_text::relative;

pub(super) fn run(context: &Context, command: SamlCommand) -> Result<()> {
    let Context { client, output } = context;
    match command {
        SamlCommand::Show { pem } => {
            let view: SamlView = client.get(path::IDENTITY_SAML)?;
            output.show(&view, |view| if pem { certificates(view) } else { shown(view) })
        }
        SamlCommand::Rotate { activate } => {
            let view: SamlView = client.post(path::IDENTITY_SAML_ROTATE, &RotateSaml { activate })?;
            let line = if activate {
                "the next key signs from now on; the one before is gone"
            } else {
                "the next key is in the metadata: let it sign with --activate once applications know it"
            };
            output.changed(&view, line, &[])
        }
    }
}

fn shown(view: &SamlView) -> String {
    let mut text = details(&[
        ("metadata", view.metadata_url.clone()),
        ("entity id", view.metadata_url.clone()),
        ("single sign-on", view.sso_url.clone()),
    ]);
    for key in &view.keys {
        text.push('\n');
        text.push_str(&of_key(key));
    }
    text
}

fn of_key(key: &SamlKeyView) -> String {
    let SamlKeyView { signs, certificate_pem, sha256, sha1, not_after_unix } = key;
    let fields = details(&[
        ("key", if *signs { "signs" } else { "next" }.to_owned()),
        ("sha-256", sha256.clone()),
        ("sha-1", sha1.clone()),
        ("ends", relative(*not_after_unix, SystemTime::now())),
    ]);
    format!("{}\n{}", fields.trim_end_matches('\n'), certificate_pem.trim_end())
}

fn certificates(view: &SamlView) -> String {
    let all: Vec<&str> = view.keys.iter().map(|key| key.certificate_pem.trim_end()).collect();
    all.join("\n")
}
