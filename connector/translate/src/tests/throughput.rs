use std::time::Instant;

use super::*;

/// Not a test: prints what one core does. `cargo test --release -p postern-translate -- --ignored --nocapture throughput`
#[test]
#[ignore = "it measures"]
fn throughput() {
    let page = "<div class=\"row item\"><a class='link' href=\"http://in/path/to/page?id=42&amp;x=y\">A page about something</a>\
                <p>Some words that people read, and some more of them, as pages have; then a picture.</p>\
                <img src=\"/static/picture.png\" width=100 height=50 alt=\"what it shows\"></div>\n"
        .repeat(40_000);
    let sheet = ".a-class > .another:hover { color: #123456; background: url(\"http://in/picture.png\") no-repeat; margin: 0 }\n"
        .repeat(100_000);
    for (content_type, body) in [("text/html", &page), ("text/css", &sheet), ("text/javascript", &sheet)] {
        for coding in ["", "gzip", "br", "zstd"] {
            measure(content_type, coding, body.as_bytes());
        }
    }
}

fn measure(content_type: &str, name: &str, body: &[u8]) {
    let mut coded = body.to_vec();
    if let Some(mut encoder) = crate::coding::Encoder::new(crate::Coding::parse(name).unwrap()).unwrap() {
        coded.clear();
        encoder.write(body, &mut coded).unwrap();
        encoder.finish(&mut coded).unwrap();
    }
    let began = Instant::now();
    let mut translator = translator(&info(content_type, name), ALL).unwrap();
    let mut out = Vec::new();
    for mut piece in coded.chunks(32 << 10) {
        while translator.push(&mut piece, &mut out).unwrap() == Progress::More {
            out.clear();
        }
        out.clear();
    }
    translator.finish(&mut out).unwrap();
    let rate = body.len() as f64 / (1 << 20) as f64 / began.elapsed().as_secs_f64();
    println!("{content_type} {name}: {rate:.0} MiB/s");
}
