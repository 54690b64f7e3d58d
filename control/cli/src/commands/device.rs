//! `postern device …`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use postern_model::admin::{
    AddDeviceAuthority, Changed, DeviceAuthorityView, DeviceChanged, DeviceView, DevicesPage, List, SetDevice,
    SetDeviceSettings, path,
};
use postern_model::device::{Approval, Compliance, Device, DeviceSettings};
use postern_service::failure::Failure;

use super::Context;
use crate::args::{
    AllCompliant, ApprovalGiven, ApprovedBy, Compliant, DeviceAuthorityCommand, DeviceCommand, DeviceSetArgs,
    DeviceSettingsArgs, DeviceSignsIn,
};
use crate::client::{read_text, segment};
use crate::output::{Output, details, yes_no};
use crate::time_text::{relative, utc};

pub(super) fn run(context: &Context, command: DeviceCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        DeviceCommand::List { owner, approval } => list(context, owner.as_deref(), approval),
        DeviceCommand::Show { id } => {
            let device: DeviceView = client.get(&path::device(&tenant, &id.to_string()))?;
            output.show(&device, show)
        }
        DeviceCommand::Approve { id } => {
            let nothing = serde_json::json!({});
            changed(*output, &client.post(&path::device_step(&tenant, &id.to_string(), "approve"), &nothing)?)
        }
        DeviceCommand::Block { id } => {
            let nothing = serde_json::json!({});
            changed(*output, &client.post(&path::device_step(&tenant, &id.to_string(), "block"), &nothing)?)
        }
        DeviceCommand::Remove { id } => changed(*output, &client.delete(&path::device(&tenant, &id.to_string()))?),
        DeviceCommand::Set(args) => {
            let target = path::device(&tenant, &args.id.to_string());
            changed(*output, &client.patch(&target, &asked(args)?)?)
        }
        DeviceCommand::Settings(args) => settings(context, &args),
        DeviceCommand::Authority(command) => authority(context, command),
    }
}

fn list(context: &Context, owner: Option<&str>, approval: Option<ApprovalGiven>) -> Result<()> {
    let Context { client, output } = context;
    let mut query = Vec::new();
    query.extend(owner.map(|owner| format!("owner={}", segment(owner))));
    query.extend(approval.map(|given| format!("approval={}", approval_of(given).as_str())));
    let mut all = List { items: Vec::new() };
    let mut after = 0;
    loop {
        let asked = [query.clone(), vec![format!("after={after}")]].concat().join("&");
        let page: DevicesPage = client.get(&format!("{}?{asked}", path::devices(&client.tenant())))?;
        all.items.extend(page.items);
        let Some(next) = page.next else { break };
        after = next;
    }
    output.show(&all, |all| table(*output, &all.items))
}

fn settings(context: &Context, args: &DeviceSettingsArgs) -> Result<()> {
    let Context { client, output } = context;
    let target = path::device_settings(&client.tenant());
    let approve_at_once = args.approve.map(|by| by == ApprovedBy::Auto);
    let sign_in = args.sign_in.map(|given| given == DeviceSignsIn::Yes);
    let asked = SetDeviceSettings { approve_at_once, own_days: args.own_days, sign_in };
    let settings: DeviceSettings =
        if asked == SetDeviceSettings::default() { client.get(&target)? } else { client.patch(&target, &asked)? };
    output.show(&settings, |settings| {
        let approved = if settings.approve_at_once { "auto: it counts at once" } else { "operator" };
        details(&[
            ("enrolled devices approved by", approved.to_owned()),
            ("certificates valid for", format!("{} days", settings.own_days)),
            ("sign their users in", yes_no(settings.sign_in)),
        ])
    })
}

fn authority(context: &Context, command: DeviceAuthorityCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = path::device_authorities(&client.tenant());
    match command {
        DeviceAuthorityCommand::Add { name, cert, compliant } => {
            let certificate_pem = read_text(&cert)?;
            let compliant = compliant.map(|given| given == AllCompliant::Yes);
            let request = AddDeviceAuthority { name: name.clone(), certificate_pem, compliant };
            let made: Changed = client.post(&target, &request)?;
            let count = match compliant {
                None => "count here",
                Some(true) => "comply",
                Some(false) => "are registered",
            };
            output.changed(&made, &format!("devices with certificates of {name} {count}"), &made.warnings)
        }
        DeviceAuthorityCommand::List => {
            let list: List<DeviceAuthorityView> = client.get(&target)?;
            output.show(&list, |list| authorities(*output, &list.items))
        }
        DeviceAuthorityCommand::Remove { name } => {
            let target = path::device_authority(&client.tenant(), &segment(&name));
            let gone: Changed = client.delete(&target)?;
            output.changed(&gone, &format!("certificates of {name} count for no device any more"), &gone.warnings)
        }
    }
}

fn asked(args: DeviceSetArgs) -> Result<SetDevice> {
    let DeviceSetArgs { id: _, compliant, lasts, owner, shared, name } = args;
    let compliance = match (compliant, lasts) {
        (Some(Compliant::Yes), Some(lasts)) => Some(Compliance::Until(until(lasts))),
        (Some(Compliant::Yes), None) => Some(Compliance::Yes),
        (Some(Compliant::No | Compliant::ByAuthority) | None, Some(_)) => {
            return Err(Failure::usage("--for says how long a device complies: with --compliant yes").into());
        }
        (Some(Compliant::No), None) => Some(Compliance::No),
        (Some(Compliant::ByAuthority), None) => Some(Compliance::ByAuthority),
        (None, None) => None,
    };
    Ok(SetDevice { compliance, owner, shared, name })
}

fn until(lasts: Duration) -> u64 {
    let end = SystemTime::now().checked_add(lasts).and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    // What no calendar has is refused by control.
    end.map_or(u64::MAX, |end| end.as_secs())
}

fn changed(output: Output, changed: &DeviceChanged) -> Result<()> {
    let DeviceView { device, state, .. } = &changed.device;
    let line = format!("device {} ({}) is {}: it counts as {state}", device.id, device.name, device.approval.as_str());
    output.changed(changed, &line, &changed.warnings)
}

fn table(output: Output, devices: &[DeviceView]) -> String {
    let now = SystemTime::now();
    let heads = ["ID", "NAME", "OWNER", "PLATFORM", "APPROVAL", "COUNTS AS", "AUTHORITY", "SEEN", "ENDS"];
    let table = output.table(heads).rows(devices, |view| {
        let device = &view.device;
        [
            device.id.to_string(),
            crate::output::short(device.name.as_str()),
            owner(view),
            device.platform.map(|platform| platform.to_string()).unwrap_or_default(),
            device.approval.as_str().to_owned(),
            view.state.to_string(),
            device.authority.to_string(),
            relative(device.seen_unix.unwrap_or(0), now),
            relative(device.expires_unix, now),
        ]
    });
    table.render("no devices; users enrol theirs by postern access device enrol")
}

fn show(view: &DeviceView) -> String {
    let device = &view.device;
    details(&[
        ("id", device.id.to_string()),
        ("name", device.name.to_string()),
        ("counts for", owner(view)),
        ("counts as", view.state.to_string()),
        ("approval", device.approval.as_str().to_owned()),
        ("compliant", compliance(device)),
        ("platform", device.platform.map(|platform| platform.to_string()).unwrap_or_default()),
        ("authority", device.authority.to_string()),
        ("certificate", format!("sha256:{}", device.certificate_sha256)),
        ("key", format!("sha256:{}", device.key_sha256)),
        ("certificate ends", utc(device.expires_unix)),
        ("since", utc(device.created_unix)),
        ("last seen", utc(device.seen_unix.unwrap_or(0))),
    ])
}

fn owner(view: &DeviceView) -> String {
    match (&view.owner_login, view.device.owner) {
        (Some(login), _) => login.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "everybody".into(),
    }
}

fn compliance(device: &Device) -> String {
    match device.compliance {
        Compliance::ByAuthority => "as its authority says".into(),
        Compliance::No => "no".into(),
        Compliance::Yes => "yes".into(),
        Compliance::Until(end) => format!("until {}", utc(end)),
    }
}

fn authorities(output: Output, authorities: &[DeviceAuthorityView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["NAME", "SUBJECT", "COMPLIANT", "ENDS", "SHA256"]).rows(authorities, |authority| {
        [
            authority.name.to_string(),
            authority.subject.clone(),
            yes_no(authority.compliant),
            relative(authority.not_after_unix, now),
            authority.sha256.clone(),
        ]
    });
    table.render("no authorities: no browser is asked for a certificate")
}

const fn approval_of(given: ApprovalGiven) -> Approval {
    match given {
        ApprovalGiven::Waiting => Approval::Waiting,
        ApprovalGiven::Approved => Approval::Approved,
        ApprovalGiven::Blocked => Approval::Blocked,
        ApprovalGiven::Removed => Approval::Removed,
    }
}
