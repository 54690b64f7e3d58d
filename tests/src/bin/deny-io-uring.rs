//! `deny-io-uring PROGRAM [ARGUMENT]…`: becomes PROGRAM, for which the kernel refuses `io_uring_setup`, as a container's
//! seccomp filter does.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("deny-io-uring: which program?");
        return ExitCode::from(2);
    };
    let error = match deny() {
        Ok(()) => anyhow::Error::from(Command::new(&program).args(arguments).exec()),
        Err(error) => error,
    };
    eprintln!("deny-io-uring: {}: {error:#}", program.display());
    ExitCode::FAILURE
}

fn deny() -> anyhow::Result<()> {
    let refuse = SeccompAction::Errno(nix::libc::EPERM.unsigned_abs());
    let rules = BTreeMap::from([(nix::libc::SYS_io_uring_setup, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}
