//! Attributes of a SAML assertion: names that may be URIs, and any number of values each.

use std::str::FromStr;

use super::{ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX, Claims, ExpressionInvalid, TooLong, Value, parser};

/// What `sso_saml_attributes` says: each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SamlAttributes(Vec<SamlAttribute>);

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlAttribute {
    /// Its name: a word, or a URI.
    pub name: Box<str>,
    pub(super) value: Value,
}

impl SamlAttributes {
    /// Each attribute that has values, with these: one of a text, of a list each of its own.
    ///
    /// # Errors
    /// When one is too long, or all together are: a part of them would say something else.
    pub fn values(&self, claims: &Claims<'_>) -> Result<Vec<(&str, Vec<String>)>, TooLong> {
        let (mut attributes, mut bytes) = (Vec::with_capacity(self.0.len()), 0);
        for SamlAttribute { name, value } in &self.0 {
            let mut values = value.values(claims)?;
            values.retain(|value| !value.is_empty());
            bytes += values.iter().map(String::len).sum::<usize>();
            if bytes > ATTRIBUTES_BYTES_MAX {
                return Err(TooLong);
            }
            if !values.is_empty() {
                attributes.push((&**name, values));
            }
        }
        Ok(attributes)
    }
}

impl FromStr for SamlAttributes {
    type Err = ExpressionInvalid;

    fn from_str(text: &str) -> Result<Self, ExpressionInvalid> {
        parser::attributes(text, ATTRIBUTES_MAX).map(Self)
    }
}

/// Visible ASCII: a URI or a plain name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

const NAME_BYTES_MAX: usize = 256;
