//! How requests come: base64, by HTTP-Redirect with DEFLATE inside. What comes out is bounded before it is there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::authn_request::RequestInvalid;

/// Of HTTP-Redirect.
pub(super) fn inflated(text: &str) -> Result<String, RequestInvalid> {
    let bytes = STANDARD.decode(text).map_err(|_| RequestInvalid::Encoding)?;
    let bytes = decompress_to_vec_with_limit(&bytes, XML_BYTES_MAX).map_err(|error| {
        if error.status == TINFLStatus::HasMoreOutput { RequestInvalid::TooLong } else { RequestInvalid::Encoding }
    })?;
    String::from_utf8(bytes).map_err(|_| RequestInvalid::Encoding)
}

/// Of HTTP-POST, where lines may be broken (Bindings §3.5.4).
pub(super) fn decoded(text: &str) -> Result<String, RequestInvalid> {
    let text: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(text).map_err(|_| RequestInvalid::Encoding)?;
    if bytes.len() > XML_BYTES_MAX {
        return Err(RequestInvalid::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| RequestInvalid::Encoding)
}

/// As for HTTP-Redirect.
pub(super) fn deflated(xml: &str) -> String {
    STANDARD.encode(compress_to_vec(xml.as_bytes(), LEVEL))
}

/// A request has some hundred bytes, with signature and certificate some thousand.
const XML_BYTES_MAX: usize = 16 << 10;
const LEVEL: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deflated_comes_back() {
        let xml = "<a>ä</a>".repeat(100);
        assert_eq!(inflated(&deflated(&xml)).unwrap(), xml);
        let encoded = STANDARD.encode(&xml);
        let lines = encoded.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap().to_owned());
        assert_eq!(decoded(&lines.collect::<Vec<_>>().join("\r\n")).unwrap(), xml);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = STANDARD.encode(compress_to_vec(&vec![b' '; 64 << 20], 9));
        assert!(bomb.len() < 100_000);
        assert_eq!(inflated(&bomb), Err(RequestInvalid::TooLong));
        assert_eq!(decoded(&STANDARD.encode(vec![b' '; XML_BYTES_MAX + 1])), Err(RequestInvalid::TooLong));
        assert_eq!(inflated(&deflated(&" ".repeat(XML_BYTES_MAX))).unwrap().len(), XML_BYTES_MAX);
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in ["", "%", "AAAA", "PGEvPg==", "====", "//79"] {
            assert_eq!(inflated(wrong), Err(RequestInvalid::Encoding), "{wrong}");
        }
        for wrong in ["%", "//79", "=", "ab"] {
            assert_eq!(decoded(wrong), Err(RequestInvalid::Encoding), "{wrong}");
        }
    }
}
