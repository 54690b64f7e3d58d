//! The folder that a program keeps its state in: whose it is, who else may read it, and whether there is room.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{Uid, User};

use super::finding::Finding;

const CHECK: &str = "state-dir";

/// The folder, or what will hold it where it is not made yet.
pub(super) fn folder(folder: &Path) -> Finding {
    let shown = folder.display();
    let about = shown.to_string();
    let existing = match existing(folder) {
        Ok(Some(existing)) => existing,
        Ok(None) => {
            return Finding::fail(CHECK, "nothing on the way to it is there", "look at the mount").about(&about);
        }
        Err(error) => return unseen(&error).about(&about),
    };
    let finding = match room(existing) {
        Err(error) => Finding::fail(CHECK, format!("its file system cannot be asked: {error}"), "look at the mount"),
        Ok(room) if existing != folder => {
            let seen = format!("it is not made yet; {}", room.words());
            room.judged(seen, &[])
        }
        Ok(room) => match folder.metadata() {
            Ok(metadata) => owned(&metadata, &room),
            Err(error) => Finding::fail(CHECK, format!("it cannot be looked at: {error}"), "run this as root"),
        },
    };
    finding.about(&about)
}

/// The folder, or the nearest one above it that is there. What cannot be seen is not taken for missing.
fn existing(folder: &Path) -> io::Result<Option<&Path>> {
    for one in folder.ancestors() {
        if one.try_exists()? {
            return Ok(Some(one));
        }
    }
    Ok(None)
}

fn unseen(error: &io::Error) -> Finding {
    let seen = format!("whether it is there cannot be seen: {error}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Finding::warn(CHECK, seen, "run this as root");
    }
    Finding::fail(CHECK, seen, "look at what is on the way to it, or give another --state-dir")
}

fn owned(metadata: &Metadata, room: &Room) -> Finding {
    if !metadata.is_dir() {
        return Finding::fail(CHECK, "it is no folder", "move it away, or give another --state-dir");
    }
    let mode = metadata.permissions().mode() & 0o777;
    let owner = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let owner = owner.map_or_else(|| format!("user {}", metadata.uid()), |user| user.name);
    let open = mode & OTHERS_MAY != 0;
    let troubles: Vec<String> =
        open.then(|| "others than its owner may read or change it".into()).into_iter().collect();
    room.judged(format!("of {owner}, mode {mode:03o}; {}", room.words()), &troubles)
}

/// What is free for who is not root.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bytes: u64,
    /// Files that can be made; nothing where the file system does not count them.
    free_files: Option<u64>,
}

fn room(at: &Path) -> nix::Result<Room> {
    let told = statvfs(at)?;
    let free_bytes = told.blocks_available().saturating_mul(told.fragment_size());
    Ok(Room { free_bytes, free_files: (told.files() > 0).then_some(told.files_available()) })
}

impl Room {
    fn words(&self) -> String {
        format!("{} MiB free", self.free_bytes >> 20)
    }

    fn judged(&self, seen: String, troubles: &[String]) -> Finding {
        if self.free_bytes < FREE_BYTES_MIN || self.free_files == Some(0) {
            return Finding::fail(CHECK, format!("{seen}: no room for what must be written"), CURE_ROOM);
        }
        let mut troubles = troubles.to_vec();
        if self.free_bytes < FREE_BYTES {
            troubles.push("logs and the store soon fill it".into());
        }
        Finding::of(CHECK, seen, &troubles, "chmod 700, by the program's own user; make room on its file system")
    }
}

const CURE_ROOM: &str = "make room on its file system: without it nothing that changes is kept";
/// Group may enter and list; nobody else, and the group may not write.
const OTHERS_MAY: u32 = 0o027;
const FREE_BYTES_MIN: u64 = 16 << 20;
const FREE_BYTES: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::StepResult;
    use std::fs::{Permissions, create_dir, set_permissions, write};

    #[test]
    fn who_may_read_it_and_what_it_is_is_seen() {
        let parent = tempfile::tempdir().unwrap();
        let state = parent.path().join("relay");
        let later = folder(&state);
        assert!(!later.failed() && later.seen.contains("not made yet"), "{later:?}");
        create_dir(&state).unwrap();
        set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
        let found = folder(&state);
        assert!(!found.failed() && found.seen.contains("mode 700") && !found.seen.contains("others"), "{found:?}");
        set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
        let found = folder(&state);
        assert!(
            found.result == StepResult::Warn && found.seen.contains("others") && found.cure.contains("700"),
            "{found:?}"
        );
        let file = parent.path().join("file");
        write(&file, "").unwrap();
        assert!(folder(&file).failed());
        let below = folder(&file.join("relay"));
        assert!(below.failed() && !below.seen.contains("not made yet"), "a file is on the way to it: {below:?}");
    }

    #[test]
    fn what_this_user_may_not_see_is_not_said_to_be_missing() {
        let hidden = unseen(&io::ErrorKind::PermissionDenied.into());
        assert!(hidden.result == StepResult::Warn && hidden.cure.contains("root"), "{hidden:?}");
    }

    #[test]
    fn a_full_disk_fails_and_a_nearly_full_one_warns() {
        let of = |free_bytes, free_files| Room { free_bytes, free_files }.judged("x".into(), &[]).result;
        assert_eq!(of(10 << 30, Some(5)), StepResult::Ok);
        assert_eq!(of(10 << 30, None), StepResult::Ok);
        assert_eq!(of(100 << 20, None), StepResult::Warn);
        assert_eq!(of(1 << 20, None), StepResult::Fail);
        assert_eq!(of(10 << 30, Some(0)), StepResult::Fail, "no inode is left");
    }
}
