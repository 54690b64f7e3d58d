//! Replays the committed corpus of a fuzz target: part of the tests of the crate that the target is about.

use std::fs;
use std::path::Path;

/// Calls `entry` with every file of the corpus of this name.
pub(crate) fn replay(name: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    let mut count = 0;
    for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = file.unwrap().path();
        let data = fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| entry(&data));
        assert!(result.is_ok(), "{} breaks the entry", path.display());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
