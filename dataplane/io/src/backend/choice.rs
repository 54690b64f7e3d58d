//! Which backend a program stands on: what its operator asked for, as far as the machine allows it.

use std::io;

use super::{BackendKind, probe_uring};

/// What `--io` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `io_uring` where it can be used, else epoll.
    Auto,
    /// `io_uring` or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// What a program is to stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The backend.
    pub backend: BackendKind,
    /// One line for operators when it is not the one that is wanted most: what is missing, and what is used instead.
    pub warning: Option<String>,
}

/// `io_uring` cannot be used by this process; the message says why as far as the kernel does.
#[derive(Debug, thiserror::Error)]
#[error("io_uring cannot be used: {source} ({})", cause(source))]
pub struct UringUnavailable {
    #[from]
    source: io::Error,
}

/// Decides, by setting a ring up when one is wanted. Call it in the process, and under the restrictions, that will use it.
///
/// # Errors
/// [`UringUnavailable`] when [`Wanted::Uring`] cannot be had.
pub fn choose(wanted: Wanted) -> Result<Choice, UringUnavailable> {
    choose_by(wanted, probe_uring)
}

fn choose_by(wanted: Wanted, probe: impl FnOnce() -> io::Result<()>) -> Result<Choice, UringUnavailable> {
    let chosen = |backend| Choice { backend, warning: None };
    if wanted == Wanted::Epoll {
        return Ok(chosen(BackendKind::Epoll));
    }
    match probe().map_err(UringUnavailable::from) {
        Ok(()) => Ok(chosen(BackendKind::Uring)),
        Err(unavailable) if wanted == Wanted::Uring => Err(unavailable),
        Err(unavailable) => {
            let warning = format!("--io auto: {unavailable}; epoll is used instead, at more CPU time per request");
            Ok(Choice { backend: BackendKind::Epoll, warning: Some(warning) })
        }
    }
}

fn cause(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "a seccomp filter, as containers have one, or the sysctl kernel.io_uring_disabled forbids it"
        }
        Some(libc::ENOSYS) => "the kernel was built without it, or a seccomp filter hides it",
        Some(libc::EINVAL) => "the kernel is older than Linux 6.1",
        Some(libc::ENOMEM) => "the limit of locked memory, RLIMIT_MEMLOCK, is too low",
        Some(_) | None => "the kernel gives no more of a reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32) -> impl Fn() -> io::Result<()> {
        move || Err(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn what_is_asked_for_is_used_where_it_can_be() {
        assert_eq!(choose_by(Wanted::Auto, || Ok(())).unwrap().backend, BackendKind::Uring);
        assert_eq!(choose_by(Wanted::Uring, || Ok(())).unwrap().backend, BackendKind::Uring);
        let unasked = || panic!("epoll asks nothing of the ring");
        assert_eq!(choose_by(Wanted::Epoll, unasked).unwrap(), Choice { backend: BackendKind::Epoll, warning: None });
    }

    #[test]
    fn a_refused_ring_falls_back_only_when_that_was_left_open() {
        for (errno, words) in
            [(libc::EPERM, "seccomp"), (libc::ENOSYS, "built without"), (libc::EINVAL, "older than Linux 6.1")]
        {
            let choice = choose_by(Wanted::Auto, refused(errno)).unwrap();
            assert_eq!(choice.backend, BackendKind::Epoll);
            let warning = choice.warning.unwrap();
            for word in ["--io auto", "epoll is used instead", words] {
                assert!(warning.contains(word), "{warning}");
            }
            let error = choose_by(Wanted::Uring, refused(errno)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
