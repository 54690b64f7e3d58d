//! Fields that come from where they were checked: nothing is looked at a second time.

use super::Headers;
use crate::field::Field;
use crate::known::Known;
use crate::scan;

impl Headers {
    /// Adds `name: value\r\n` if the name is a token, in any case, and says whether it is; the caller has checked the rest.
    #[must_use]
    pub(crate) fn push_line(&mut self, line: &[u8], name_bytes: usize) -> bool {
        let start = self.text.len();
        self.text.extend_from_slice(line);
        let name = &mut self.text[start..start + name_bytes];
        scan::make_lowercase(name);
        let known = Known::find(name);
        // Every known name is a token: what equals one needs no look at each of its bytes.
        if known.is_none() && !scan::is_token(name) {
            self.text.truncate(start);
            return false;
        }
        self.push(Field::new(start, name_bytes, line.len() - name_bytes - 4, known));
        true
    }

    /// Adds a field that the caller has checked; `name` may be in any case.
    pub(crate) fn push_checked(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        scan::make_lowercase(&mut self.text[start..]);
        let known = Known::find(&self.text[start..]);
        self.text.extend_from_slice(b": ");
        let field = self.close_line(start, name.len(), value, known);
        self.push(field);
    }

    /// Adds a field that the caller has checked; `name` is in lower case and not a known one.
    pub(crate) fn push_other_checked(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(Known::find(name).is_none() && !name.iter().any(u8::is_ascii_uppercase), "the name is checked");
        let start = self.text.len();
        self.text.reserve(name.len() + value.len() + 4);
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        let field = self.close_line(start, name.len(), value, None);
        self.push(field);
    }

    /// Adds a field whose value the caller has checked.
    pub(crate) fn push_known_checked(&mut self, known: Known, value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(known.line_start().as_bytes());
        let field = self.close_line(start, known.as_str().len(), value, Some(known));
        self.push(field);
    }
}
