//! `postern identity device-host …`.

use anyhow::Result;
use postern_model::admin::{Changed, IdentityPublished, SetDeviceHost, path};

use super::super::Context;
use super::super::app::read_key;
use crate::args::DeviceHostCommand;
use crate::client::read_text;

pub(super) fn run(context: &Context, command: DeviceHostCommand) -> Result<()> {
    let Context { client, output } = context;
    match command {
        DeviceHostCommand::Set { host, cert, key } => {
            let asked = SetDeviceHost {
                host,
                certificate_pem: cert.as_deref().map(read_text).transpose()?,
                key_pem: key.as_deref().map(read_key).transpose()?,
            };
            let set: IdentityPublished = client.put(path::IDENTITY_DEVICE_HOST, &asked)?;
            let place = set.identity.device_url.as_deref().unwrap_or_default();
            output.changed(&set, &format!("browsers show their device's certificate at {place}"), &set.warnings)
        }
        DeviceHostCommand::Remove => {
            let changed: Changed = client.delete(path::IDENTITY_DEVICE_HOST)?;
            output.changed(&changed, "no browser is asked for its device's certificate any more", &changed.warnings)
        }
    }
}
