//! The packet filter as the supervisor handles it: load beside a [`Steer`], tell the ports, attach to interfaces.

use std::{
    ffi::{CStr, CString},
    fs, io,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray},
    programs::{ProgramError, Xdp, XdpError, XdpMode},
};
use postern_ebpf_common::{GuardCounters, GuardedInterface, INTERFACES_MAX, PORT_WORDS, map, port_bit};

use crate::{
    BpfError, Steer,
    abi::{Shared, in_map, take},
};

/// The loaded filter of one relay instance. Its maps are pinned beside those of [`Steer`], which removes them all.
///
/// Dropping it detaches it, and so does the end of the process, however that comes.
pub struct Guard {
    ebpf: Ebpf,
    ports: Array<MapData, u64>,
    counters: PerCpuArray<MapData, Shared<GuardCounters>>,
    interfaces: Array<MapData, Shared<GuardedInterface>>,
    attached: u32,
}

/// Where on a packet's way the filter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// In the driver, before the kernel has spent anything on the packet.
    Native,
    /// In the kernel's stack, after it has; and why the driver does not.
    Generic { why: String },
}

impl Guard {
    /// Loads the program that this build carries, with the limits and lists that `steer` has.
    pub fn load(steer: &Steer) -> Result<Self, BpfError> {
        let mut ebpf = EbpfLoader::new().default_map_pin_directory(steer.pin_directory()).load(OBJECT)?;
        program(&mut ebpf)?.load()?;
        Ok(Self {
            ports: take(&mut ebpf, map::PORTS)?,
            counters: take(&mut ebpf, map::GUARD_COUNTERS)?,
            interfaces: take(&mut ebpf, map::INTERFACES)?,
            ebpf,
            attached: 0,
        })
    }

    /// Filters what goes to these TCP ports, on any address of this host, and nothing else.
    pub fn protect(&mut self, ports: impl IntoIterator<Item = u16>) -> Result<(), BpfError> {
        let mut words = vec![0; PORT_WORDS as usize];
        for port in ports {
            let (word, mask) = port_bit(port);
            words[word as usize] |= mask;
        }
        for (word, ports) in (0..).zip(words) {
            self.ports.set(word, ports, 0).map_err(in_map(map::PORTS))?;
        }
        Ok(())
    }

    /// Filters what comes in through `interface`: in the driver where it can, otherwise in the kernel's stack.
    pub fn attach(&mut self, interface: &str) -> Result<GuardMode, BpfError> {
        let index = interface_index(interface).ok_or_else(|| BpfError::InterfaceUnknown(interface.to_owned()))?;
        if self.attached >= INTERFACES_MAX {
            return Err(BpfError::InterfacesExhausted(interface.to_owned()));
        }
        if !has_ethernet_headers(interface) {
            return Err(BpfError::InterfaceNotEthernet(interface.to_owned()));
        }
        let program = program(&mut self.ebpf)?;
        let mode = match program.attach_to_if_index(index, XdpMode::Driver) {
            Ok(_) => GuardMode::Native,
            Err(error) if is_taken(&error) => return Err(BpfError::InterfaceTaken(interface.to_owned())),
            Err(native) => {
                program.attach_to_if_index(index, XdpMode::Skb)?;
                GuardMode::Generic { why: reason(&native) }
            }
        };
        let told = GuardedInterface { index, native: u32::from(mode == GuardMode::Native) };
        self.interfaces.set(self.attached, Shared(told), 0).map_err(in_map(map::INTERFACES))?;
        self.attached += 1;
        Ok(mode)
    }

    /// What became of the packets since the program was loaded.
    pub fn counters(&self) -> Result<GuardCounters, BpfError> {
        sum(&self.counters)
    }
}

pub(crate) fn sum(counters: &PerCpuArray<MapData, Shared<GuardCounters>>) -> Result<GuardCounters, BpfError> {
    let cpus = counters.get(&0, 0).map_err(in_map(map::GUARD_COUNTERS))?;
    Ok(cpus.iter().fold(GuardCounters::default(), |sum, cpu| sum.plus(cpu.0)))
}

/// The kernel's number of an interface; nothing when there is none of that name.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a NUL-terminated string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Whether packets begin with an Ethernet header there, as the program reads them; on tunnels they do not.
fn has_ethernet_headers(interface: &str) -> bool {
    let kind = fs::read_to_string(format!("/sys/class/net/{interface}/type")).unwrap_or_default();
    // Where sysfs is not that of this network namespace nothing is known.
    matches!(kind.trim(), "" | ARPHRD_ETHER | ARPHRD_LOOPBACK)
}

const ARPHRD_ETHER: &str = "1";
const ARPHRD_LOOPBACK: &str = "772";

/// The name of an interface, while there is one of that number.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: room for the longest name, as the call asks for.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the call has put a NUL-terminated name there.
    Some(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

/// The interfaces of this network namespace, in order.
#[must_use]
pub fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| interface_index(name).is_some());
    names.sort_unstable();
    names
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, BpfError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(BpfError::ObjectPart(PROGRAM))?;
    Ok(program.try_into()?)
}

/// Another program is there, in the driver or in the stack: there can be one only.
fn is_taken(error: &ProgramError) -> bool {
    let os_error = os_error(error).and_then(|error| error.raw_os_error());
    matches!(os_error, Some(libc::EBUSY | libc::EEXIST))
}

fn reason(error: &ProgramError) -> String {
    match os_error(error) {
        Some(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => "its driver has no native XDP".to_owned(),
        Some(error) => format!("its driver refuses native XDP: {error}"),
        None => format!("its driver refuses native XDP: {error}"),
    }
}

fn os_error(error: &ProgramError) -> Option<&io::Error> {
    if let ProgramError::SyscallError(error) = error {
        return Some(&error.io_error);
    }
    let ProgramError::XdpError(XdpError::NetlinkError(error)) = error else {
        return None;
    };
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

const PROGRAM: &str = "guard";

/// Committed, so that building needs no BPF toolchain; `cargo xtask ebpf` rebuilds it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../prebuilt/guard.bpf.o");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_names_and_numbers() {
        let index = interface_index("lo").unwrap();
        assert_eq!(interface_name(index).unwrap(), "lo");
        assert!(interfaces().contains(&"lo".to_owned()));
        assert_eq!(interface_index("nosuch0"), None);
        assert_eq!(interface_index("l\0o"), None);
        assert_eq!(interface_name(u32::MAX), None);
    }
}
