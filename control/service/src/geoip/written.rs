//! A small database in MaxMind's format, for tests: <https://maxmind.github.io/MaxMind-DB/>, with records of 24 bits.

#![allow(dead_code, reason = "each test that has it makes the databases that it needs")]

use std::net::IpAddr;

/// A database of countries. Each entry: a prefix, and the country that it has under a key.
pub(crate) fn database<'a>(kind: &str, entries: &[(&'a str, &str, &str)]) -> Vec<u8> {
    let entry = |(prefix, key, code): &(&'a str, &str, &str)| {
        let mut data = Vec::new();
        map(&mut data, 1);
        country(&mut data, key, code);
        (*prefix, data)
    };
    file(kind, entries.iter().map(entry))
}

/// A database of cities. Each entry: a prefix, the country, latitude and longitude.
pub(crate) fn cities<'a>(entries: &[(&'a str, &str, (f64, f64))]) -> Vec<u8> {
    let entry = |(prefix, code, (latitude, longitude)): &(&'a str, &str, (f64, f64))| {
        let mut data = Vec::new();
        map(&mut data, 2);
        country(&mut data, "country", code);
        text(&mut data, "location");
        map(&mut data, 2);
        for (key, degrees) in [("latitude", latitude), ("longitude", longitude)] {
            text(&mut data, key);
            // A number of double precision.
            data.push(0x68);
            data.extend(degrees.to_be_bytes());
        }
        (*prefix, data)
    };
    file("GeoLite2-City", entries.iter().map(entry))
}

/// A database of autonomous systems. Each entry: a prefix, and the number.
pub(crate) fn systems<'a>(entries: &[(&'a str, u32)]) -> Vec<u8> {
    let entry = |(prefix, number): &(&'a str, u32)| {
        let mut data = Vec::new();
        map(&mut data, 1);
        text(&mut data, "autonomous_system_number");
        // A number of 32 bits.
        data.push(0xc4);
        data.extend(number.to_be_bytes());
        (*prefix, data)
    };
    file("GeoLite2-ASN", entries.iter().map(entry))
}

fn country(data: &mut Vec<u8>, key: &str, code: &str) {
    text(data, key);
    map(data, 1);
    text(data, "iso_code");
    text(data, code);
}

/// A database of IPv6 addresses, IPv4 within `::/96`.
fn file<'a>(kind: &str, entries: impl Iterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut nodes: Vec<[Next; 2]> = vec![[Next::Nothing; 2]];
    let mut data = Vec::new();
    for (prefix, entry) in entries {
        let (address, length) = prefix.split_once('/').unwrap();
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), length.parse::<u32>().unwrap() + 96),
            IpAddr::V6(v6) => (u128::from(v6), length.parse::<u32>().unwrap()),
        };
        insert(&mut nodes, bits, length, data.len());
        data.extend(entry);
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for next in nodes.into_iter().flatten() {
        let value = match next {
            Next::Node(node) => node,
            Next::Nothing => count,
            Next::Data(offset) => count + 16 + offset,
        };
        file.extend(&(value as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut file, kind, count);
    file
}

#[derive(Clone, Copy)]
enum Next {
    Nothing,
    Node(usize),
    Data(usize),
}

fn insert(nodes: &mut Vec<[Next; 2]>, bits: u128, length: u32, offset: usize) {
    let mut node = 0;
    for depth in 0..length {
        let side = (bits >> (127 - depth) & 1) as usize;
        if depth + 1 == length {
            nodes[node][side] = Next::Data(offset);
            return;
        }
        node = match nodes[node][side] {
            Next::Node(next) => next,
            Next::Nothing | Next::Data(_) => {
                nodes.push([Next::Nothing; 2]);
                let made = nodes.len() - 1;
                nodes[node][side] = Next::Node(made);
                made
            }
        };
    }
}

fn metadata(file: &mut Vec<u8>, kind: &str, count: usize) {
    map(file, 9);
    text(file, "node_count");
    // A number of 32 bits.
    file.push(0xc4);
    file.extend((count as u32).to_be_bytes());
    let others = [("record_size", 24), ("ip_version", 6)];
    for (key, value) in
        others.into_iter().chain([("binary_format_major_version", 2), ("binary_format_minor_version", 0)])
    {
        text(file, key);
        // One of 16 bits.
        file.push(0xa2);
        file.extend(u16::to_be_bytes(value));
    }
    text(file, "database_type");
    text(file, kind);
    text(file, "languages");
    // An array of nothing.
    file.extend([0x00, 0x04]);
    text(file, "build_epoch");
    // A number of 64 bits, four bytes of which are written.
    file.extend([0x04, 0x02]);
    file.extend(1_767_225_600_u32.to_be_bytes());
    text(file, "description");
    map(file, 0);
}

fn map(out: &mut Vec<u8>, pairs: u8) {
    out.push(0xe0 | pairs);
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 285);
    match u8::try_from(text.len()).ok().filter(|length| *length < 29) {
        Some(length) => out.push(0x40 | length),
        None => out.extend([0x40 | 29, (text.len() - 29) as u8]),
    }
    out.extend(text.as_bytes());
}
