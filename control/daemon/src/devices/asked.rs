//! Policies that ask for devices where browsers are asked for none.

use postern_model::Snapshot;
use postern_model::policy::{Grant, Policy, Requirement};

use crate::control::Control;

/// What an operator should know of a policy that asks for a device: as long as no browser can show one, nobody has any.
pub(crate) fn unanswerable(control: &Control, policy: &Policy) -> Option<String> {
    let snapshot = control.snapshot();
    let is_set = snapshot.identity.as_ref().is_some_and(|identity| identity.device_host.is_some());
    (asks(policy) && !is_set).then(|| {
        format!(
            "{}: it asks for a device, and browsers are asked for their device's certificate nowhere: nobody has one there (postern identity device-host set HOST)",
            policy.name
        )
    })
}

/// What an operator should know who takes the place away where browsers show their devices.
pub(super) fn left_without(snapshot: &Snapshot) -> Vec<String> {
    let asking = snapshot.policies.values().filter(|policy| asks(policy));
    asking
        .map(|policy| format!("the policy {} asks for a device: whoever signs in from now on has none", policy.name))
        .collect()
}

fn asks(policy: &Policy) -> bool {
    let is_device = |one: &Requirement| match one {
        Requirement::RegisteredDevice | Requirement::CompliantDevice => true,
        Requirement::Mfa | Requirement::Terms(_) => false,
    };
    match &policy.grant {
        Grant::Block => false,
        Grant::Require { all, any } => all.iter().chain(any).any(is_device),
    }
}
