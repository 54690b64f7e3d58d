//! Files that an operator names, `-` for standard input: read whole, up to a bound.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use postern_service::failure::Failure;

/// What a file held.
pub(crate) struct Input {
    /// As messages have it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Input {
    /// `bytes_max`: some MiB.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let most = bytes_max as u64 + 1;
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "standard input".into() } else { path.display().to_string() };
        let read = if is_stdin {
            io::stdin().take(most).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
        };
        read.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        if bytes.len() > bytes_max {
            return Err(Failure::usage(format!("{name} is larger than {} MiB", bytes_max >> 20)));
        }
        Ok(Self { name, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'x'; 1 << 20]).unwrap();
        let input = Input::read(file.path(), 1 << 20).ok().unwrap();
        assert_eq!((input.name, input.bytes.len()), (file.path().display().to_string(), 1 << 20));
        std::fs::write(file.path(), vec![b'x'; (1 << 20) + 1]).unwrap();
        let refused = Input::read(file.path(), 1 << 20).err().unwrap().to_string();
        assert!(refused.contains("is larger than 1 MiB"), "{refused}");
        let missing = Input::read(Path::new("/nonexistent/file"), 1 << 20).err().unwrap().to_string();
        assert!(missing.contains("cannot read /nonexistent/file: "), "{missing}");
    }
}
