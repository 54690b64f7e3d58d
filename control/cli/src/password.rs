//! A password from a file, from standard input, or asked for at the terminal; never from the command line.

use std::io::Read as _;

use anyhow::Result;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;

use crate::args::PasswordSource;

/// The password that a file or standard input holds, if one was named.
pub(crate) fn given(source: &PasswordSource) -> Result<Option<SecretText>> {
    if let Some(path) = &source.password_file {
        if let Some(warning) = secret::exposure(path) {
            eprintln!("warning: {warning}");
        }
        return Ok(Some(text(&secret::read(path)?, &path.display().to_string())?));
    }
    if source.password_stdin {
        // Room for all at once: a vector that grows leaves copies behind.
        let mut bytes = Vec::with_capacity(BYTES_MAX + 1);
        let read = std::io::stdin().lock().take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        if bytes.len() > BYTES_MAX {
            return Err(Failure::usage(format!("standard input holds more than {BYTES_MAX} bytes")).into());
        }
        return Ok(Some(text(&bytes, "standard input")?));
    }
    Ok(None)
}

/// Asks twice at the terminal, without showing what is typed.
pub(crate) fn asked(login: &str) -> Result<SecretText> {
    let first = typed(&format!("Password for {login}: "))?;
    if typed("The same again: ")? == first {
        return Ok(first);
    }
    Err(Failure::new("the two passwords differ: nothing was changed").into())
}

/// Asks once at the terminal, for a password that opens something.
pub(crate) fn typed(prompt: &str) -> Result<SecretText> {
    let typed = rpassword::prompt_password(prompt).map(SecretText::new);
    Ok(typed.map_err(|error| {
        let message = format!("cannot ask for a password at the terminal: {error}");
        Failure::usage(message).cure("give it with --password-file or --password-stdin")
    })?)
}

/// Without the line's end that editors and echo put behind it; all else belongs to the password.
fn text(bytes: &[u8], name: &str) -> Result<SecretText, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is not text")))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(Failure::usage(format!("{name} must hold one line: the password")));
    }
    Ok(SecretText::new(line.to_owned()))
}

/// More than control takes, so that it says what is wrong.
const BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_end_is_left_out() {
        for (held, password) in [("a b\n", "a b"), (" a \r\n", " a "), ("a", "a")] {
            assert_eq!(text(held.as_bytes(), "f").unwrap().expose(), password);
        }
        for wrong in ["", "\n", "a\nb\n"] {
            assert!(text(wrong.as_bytes(), "f").unwrap_err().to_string().contains("one line"), "{wrong:?}");
        }
        assert!(text(b"\xff", "f").is_err());
    }
}
