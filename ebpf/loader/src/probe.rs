//! Says in words whether this process can steer with BPF, without leaving anything behind.

use std::{fmt, fs, path::Path};

use aya::{programs::ProgramType, sys::is_program_supported, util::KernelVersion};

use crate::pins::{BPFFS, is_bpffs};

/// Whether steering can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    Available,
    /// The reason and the cure, for the log line and `postern status`.
    Unavailable(String),
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available => f.write_str("available"),
            Self::Unavailable(reason) => write!(f, "not available: {reason}"),
        }
    }
}

/// Looks at kernel, privileges and BPF filesystem, and has the kernel load a program of two instructions.
#[must_use]
pub fn probe() -> Support {
    match obstacle() {
        Some(reason) => Support::Unavailable(reason),
        None => Support::Available,
    }
}

fn obstacle() -> Option<String> {
    match KernelVersion::current() {
        Ok(kernel) if kernel < KERNEL_FLOOR => {
            return Some("the kernel is older than Linux 6.1, which steering needs".to_owned());
        }
        Ok(_) => {}
        Err(error) => return Some(format!("the kernel's version cannot be read: {error}")),
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = effective_capabilities(&status);
    if let Some(missing) = missing_capability(capabilities) {
        return Some(format!("the process lacks {missing}: run as root, or grant CAP_BPF and CAP_NET_ADMIN"));
    }
    if !is_bpffs(Path::new(BPFFS)) && capabilities & CAP_SYS_ADMIN == 0 {
        return Some(format!("{BPFFS} is no BPF filesystem: run `mount -t bpf bpf {BPFFS}`"));
    }
    match is_program_supported(ProgramType::SkReuseport) {
        Ok(true) => None,
        Ok(false) => Some("the kernel has no BPF programs of type sk_reuseport (CONFIG_BPF_SYSCALL)".to_owned()),
        Err(error) => Some(format!("the kernel refuses BPF programs (lockdown, seccomp?): {error}")),
    }
}

fn effective_capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn missing_capability(effective: u64) -> Option<&'static str> {
    if effective & (CAP_SYS_ADMIN | CAP_BPF) == 0 {
        return Some("CAP_BPF");
    }
    (effective & (CAP_SYS_ADMIN | CAP_NET_ADMIN) == 0).then_some("CAP_NET_ADMIN")
}

const KERNEL_FLOOR: KernelVersion = KernelVersion::new(6, 1, 0);
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_BPF: u64 = 1 << 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_capability_is_named() {
        let status = "Name:\tx\nCapEff:\t0000000000001000\n";
        assert_eq!(missing_capability(effective_capabilities(status)), Some("CAP_BPF"));
        assert_eq!(missing_capability(CAP_BPF), Some("CAP_NET_ADMIN"));
        assert_eq!(missing_capability(CAP_BPF | CAP_NET_ADMIN), None);
        assert_eq!(missing_capability(CAP_SYS_ADMIN), None);
        assert_eq!(effective_capabilities("garbage"), 0);
    }
}
