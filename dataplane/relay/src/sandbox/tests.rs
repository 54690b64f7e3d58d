//! Each probe runs in a child of its own: this test binary again, told which probe to be.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::{fs, io, thread};

use super::*;

const PROBE: &str = "POSTERN_SANDBOX_PROBE";
const FOLDER: &str = "POSTERN_SANDBOX_FOLDER";

/// Runs `sandbox::tests::the_child` as `probe`; its status and what it printed.
fn child(probe: &str) -> (ExitStatus, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["sandbox::tests::the_child", "--exact", "--nocapture", "--test-threads=1"])
        .env(PROBE, probe)
        .env(FOLDER, folder.path())
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status, text)
}

fn passes(probe: &str) {
    let (status, text) = child(probe);
    assert!(status.success(), "{probe}: {status}\n{text}");
}

#[test]
fn only_the_state_folder_is_left_of_the_disk() {
    passes("files");
}

#[test]
fn later_threads_are_locked_in_too() {
    passes("thread");
}

#[test]
fn landlock_alone_closes_files_and_tcp() {
    passes("landlock");
}

#[test]
fn seccomp_alone_refuses_new_sockets_and_lets_the_rest_work() {
    passes("seccomp");
}

#[test]
fn no_thread_makes_a_ring_once_all_workers_have_theirs() {
    passes("rings");
}

#[test]
fn executing_a_program_ends_the_process() {
    let (status, text) = child("exec");
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{text}");
}

#[test]
fn the_probes_would_notice_a_missing_sandbox() {
    let (status, text) = child("none");
    assert!(!status.success(), "{text}");
}

/// The other tests run it in a process of its own; by itself it does nothing.
#[test]
fn the_child() {
    let (Some(probe), Some(folder)) = (std::env::var_os(PROBE), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    match probe.to_string_lossy().as_ref() {
        "files" => {
            assert_eq!(enter(&folder).unwrap().warnings(), Vec::<String>::new());
            only_the_folder(&folder);
            let error = TcpStream::connect(listener.local_addr().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
        "thread" => {
            enter(&folder).unwrap();
            thread::spawn(move || only_the_folder(&folder)).join().unwrap();
        }
        "landlock" => {
            prctl::set_no_new_privs().unwrap();
            assert_eq!(files::restrict(&folder), files::Landlock::Full);
            only_the_folder(&folder);
            for refused in [
                TcpStream::connect(listener.local_addr().unwrap()).map(drop),
                TcpListener::bind("127.0.0.1:0").map(drop),
            ] {
                assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EACCES));
            }
        }
        "seccomp" => {
            syscalls::restrict().unwrap();
            assert!(fs::read("/etc/passwd").is_ok(), "files are Landlock's");
            assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().raw_os_error(), Some(libc::EPERM));
            assert_eq!(nix::unistd::chdir("/").unwrap_err(), nix::errno::Errno::EPERM);
            serves(listener);
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7, "threads can be made");
        }
        "rings" => {
            enter(&folder).unwrap();
            rings_are_made_before_the_gate_only();
        }
        "exec" => {
            enter(&folder).unwrap();
            let _ = nix::unistd::execv(c"/bin/true", &[c"true"]);
        }
        _ => only_the_folder(&folder), // no sandbox at all
    }
}

fn only_the_folder(folder: &Path) {
    let denied = |outcome: io::Result<()>| outcome.unwrap_err().kind() == ErrorKind::PermissionDenied;
    fs::write(folder.join("state"), b"x").unwrap();
    fs::rename(folder.join("state"), folder.join("renamed")).unwrap();
    assert_eq!(fs::read(folder.join("renamed")).unwrap(), b"x");
    assert!(denied(fs::read("/etc/passwd").map(drop)), "/etc/passwd can be read");
    assert!(denied(fs::read_dir("/").map(drop)), "/ can be listed");
    assert!(denied(fs::write("/tmp/postern-sandbox-probe", b"x")), "/tmp can be written");
    assert!(denied(fs::create_dir(folder.join("folder"))), "folders can be made");
}

fn rings_are_made_before_the_gate_only() {
    use postern_io::{Runtime, RuntimeOptions, sleep};
    let options = RuntimeOptions { connects: false, ..RuntimeOptions::default() };
    let gate = Gate::new(2, true);
    let other_gate = gate.clone();
    let worker = thread::spawn(move || {
        let runtime = Runtime::new(options).unwrap();
        assert_eq!(other_gate.pass(), None);
        assert_eq!(Runtime::new(options).err().and_then(|error| error.raw_os_error()), Some(libc::EPERM));
        runtime.run(async { sleep(std::time::Duration::from_millis(1)).await }).unwrap(); // its own goes on
    });
    let _ring = Runtime::new(options).unwrap();
    assert_eq!(gate.pass(), None);
    assert_eq!(Runtime::new(options).err().and_then(|error| error.raw_os_error()), Some(libc::EPERM));
    worker.join().unwrap();
}

/// A tokio runtime and a connection that was there before.
fn serves(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let waited = tokio::time::timeout(std::time::Duration::from_millis(20), listener.accept()).await;
        assert!(waited.is_err(), "nobody connects");
    });
}
