//! `guard` as the supervisor keeps it: attached to the interfaces that `--xdp` names, as well as each of them can.

use postern_ebpf_loader::{BpfError, Guard, GuardCounters, GuardMode, Steer, interface_index, interfaces};
use postern_service::failure::Failure;

/// The loaded filter. Dropping it detaches it.
pub(super) struct Guarding {
    guard: Guard,
    attached: Vec<(String, GuardMode)>,
}

/// Every interface must be there, whatever becomes of BPF: a wrong name is nothing to go on with.
pub(super) fn check_interfaces(named: &[String]) -> Result<(), Failure> {
    match named.iter().find(|name| interface_index(name).is_none()) {
        Some(unknown) => {
            let known = interfaces().join(", ");
            Err(Failure::new(format!("--xdp {unknown}: there is no interface of this name; there are {known}"))
                .code("interface-unknown"))
        }
        None => Ok(()),
    }
}

impl Guarding {
    /// Attaches to each interface. What is not as asked for is said in `warnings`, one line each.
    pub(super) fn set_up(
        steer: &Steer,
        interfaces: &[String],
        ports: impl IntoIterator<Item = u16>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, BpfError> {
        let mut guard = Guard::load(steer)?;
        guard.protect(ports)?;
        let mut attached = Vec::new();
        for interface in interfaces {
            match guard.attach(interface) {
                Ok(mode) => {
                    warnings.extend(generic_warning(interface, &mode));
                    attached.push((interface.clone(), mode));
                }
                Err(error) => warnings.push(unfiltered(interface, &error.chain())),
            }
        }
        Ok(Self { guard, attached })
    }

    /// Whether every one of so many interfaces is filtered.
    pub(super) fn is_complete(&self, interfaces: usize) -> bool {
        self.attached.len() == interfaces
    }

    /// For `postern status`: `guard on eth0 (native)`.
    pub(super) fn describe(&self) -> Option<String> {
        let attached = self.attached.iter().map(|(interface, mode)| format!("{interface} ({})", mode.name()));
        let attached: Vec<String> = attached.collect();
        (!attached.is_empty()).then(|| format!("guard on {}", attached.join(", ")))
    }

    pub(super) fn counters(&self) -> Result<GuardCounters, BpfError> {
        self.guard.counters()
    }
}

/// The line for an interface whose packets nobody filters.
pub(super) fn unfiltered(interface: &str, reason: &str) -> String {
    format!("--xdp {interface}: packets are not filtered there: {reason}")
}

fn generic_warning(interface: &str, mode: &GuardMode) -> Option<String> {
    match mode {
        GuardMode::Native => None,
        GuardMode::Generic { why } => Some(format!(
            "--xdp {interface}: {why}; the kernel's stack filters instead (generic XDP), at a higher cost"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_said_with_those_that_are_there() {
        let refused = check_interfaces(&[String::from("lo"), String::from("nosuch0")]).unwrap_err().to_string();
        assert!(refused.contains("--xdp nosuch0: there is no interface of this name; there are "), "{refused}");
        assert!(refused.contains("lo") && refused.contains("interface-unknown"), "{refused}");
        assert!(check_interfaces(&[String::from("lo")]).is_ok());
    }

    #[test]
    fn a_fallback_is_a_warning_and_a_native_driver_is_none() {
        assert_eq!(generic_warning("eth0", &GuardMode::Native), None);
        let warning =
            generic_warning("eth0", &GuardMode::Generic { why: String::from("its driver has no native XDP") });
        assert_eq!(
            warning.unwrap(),
            "--xdp eth0: its driver has no native XDP; the kernel's stack filters instead (generic XDP), at a higher cost"
        );
    }
}
