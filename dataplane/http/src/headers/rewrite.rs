//! Values that are replaced where they stand, for fields that may be there more than once.

use super::Headers;
use crate::field::Name;

impl Headers {
    /// Replaces each value of `name` for which `rewrite` gives another one, in its place. What is no field value is not taken,
    /// and the value that was there stays. Nothing is allocated where nothing is replaced.
    pub fn rewrite<'n>(&mut self, name: impl Into<Name<'n>>, mut rewrite: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        let name = name.into().resolved();
        if !self.may_have(name) {
            return;
        }
        for at in 0..self.fields.len() {
            let field = self.fields[at];
            if !field.is_named(&self.text, name) {
                continue;
            }
            let Some(value) = rewrite(field.view(&self.text).value()) else { continue };
            if let Ok(written) = self.write(name, &value) {
                self.fields[at] = written;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Known;

    #[test]
    fn values_are_replaced_where_they_stand() {
        let mut headers = Headers::default();
        for (name, value) in [("Set-Cookie", "a"), ("If", "x"), ("set-cookie", "b"), ("set-cookie", "c")] {
            headers.append(name, value).unwrap();
        }
        headers.rewrite(Known::SetCookie, |value| match value {
            b"a" => Some(b"longer than before".to_vec()),
            b"b" => Some(b"not\r\na: value".to_vec()),
            _ => None,
        });
        headers.rewrite("IF", |value| Some([value, b"y"].concat()));
        headers.rewrite(Known::Link, |_| Some(b"there is none".to_vec()));
        let values: Vec<_> = headers.iter().map(|field| (field.name(), field.value())).collect();
        let expected: [(&str, &[u8]); 4] =
            [("set-cookie", b"longer than before"), ("if", b"xy"), ("set-cookie", b"b"), ("set-cookie", b"c")];
        assert_eq!(values, expected);
    }
}
