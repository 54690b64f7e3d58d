//! W3C Trace Context (level 1): which trace a request belongs to, for applications that record how long their parts take.

use crate::headers::Headers;
use crate::known::Known;

/// Keeps a client's `traceparent`, or begins a trace with this id where it says none, or none that can be read: then its
/// `tracestate` says nothing either (§3.3.1). Whether it is recorded is left to whoever comes later: nothing is here.
pub fn ensure_trace(headers: &mut Headers, trace: u128) {
    let is_valid = {
        let mut said = headers.values(Known::Traceparent);
        said.next().is_some_and(is_trace_parent) && said.next().is_none()
    };
    if is_valid {
        return;
    }
    headers.remove(Known::Traceparent);
    headers.remove(Known::Tracestate);
    // No id is zero.
    let (trace, parent) = (trace.max(1), (trace >> 64) as u64 | 1);
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut value[TRACE], &trace.to_be_bytes());
    write_hex(&mut value[PARENT], &parent.to_be_bytes());
    headers.push_known_checked(Known::Traceparent, &value);
}

/// Whether it is `VERSION-TRACE-PARENT-FLAGS` of this version, or of a later one that begins so (§3.2, §4.2).
fn is_trace_parent(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |part: &[u8]| hex(part) && part.iter().any(|byte| *byte != b'0');
    let Some((known, more)) = value.split_at_checked(BYTES) else { return false };
    let dashes = [2usize, 35, 52].iter().all(|at| known[*at] == b'-');
    let version = &known[..2];
    let ends = if version == b"00" { more.is_empty() } else { more.is_empty() || more[0] == b'-' };
    dashes
        && hex(version)
        && version != b"ff"
        && is_some(&known[TRACE])
        && is_some(&known[PARENT])
        && hex(&known[53..])
        && ends
}

/// `out` has twice the length of `bytes`.
fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Of version 00.
const BYTES: usize = 55;
const TRACE: std::ops::Range<usize> = 3..35;
const PARENT: std::ops::Range<usize> = 36..52;

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced(said: &[&str]) -> (Vec<String>, bool) {
        let mut headers = Headers::default();
        for value in said {
            headers.append(Known::Traceparent, value).unwrap();
        }
        headers.append(Known::Tracestate, "a=b").unwrap();
        ensure_trace(&mut headers, 0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        let values = headers.get_all(Known::Traceparent).map(|value| String::from_utf8(value.to_vec()).unwrap());
        (values.collect(), headers.contains(Known::Tracestate))
    }

    #[test]
    fn a_trace_is_passed_on() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        for said in [SAID, later] {
            assert_eq!(traced(&[said]), (vec![said.to_owned()], true), "{said}");
        }
    }

    #[test]
    fn where_there_is_none_one_begins() {
        let begun = "00-0123456789abcdef0011223344556677-0123456789abcdef-00";
        for said in [
            &[][..],
            &[SAID, SAID],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            &["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"],
            &["00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"],
            &["00"],
            &[""],
        ] {
            assert_eq!(traced(said), (vec![begun.to_owned()], false), "{said:?}");
        }
        let mut headers = Headers::default();
        ensure_trace(&mut headers, 0);
        let zero = headers.get_str(Known::Traceparent).unwrap();
        assert_eq!(zero, "00-00000000000000000000000000000001-0000000000000001-00");
    }
}
