use std::time::{Duration, Instant};

use super::*;

/// Not a test: prints what one core does. `cargo test --release -p postern-translate -- --ignored --nocapture throughput`
#[test]
#[ignore = "it measures"]
fn throughput() {
    let page = "<div class=\"row item\"><a class='link' href=\"http://in/path/to/page?id=42&amp;x=y\">A page about something</a>\
                <p>Some words that people read, and some more of them, as pages have; then a picture.</p>\
                <img src=\"/static/picture.png\" width=100 height=50 alt=\"what it shows\"></div>\n"
        .repeat(4_000);
    let sheet = ".a-class > .another:hover { color: #123456; background: url(\"http://in/picture.png\") no-repeat; margin: 0 }\n"
        .repeat(10_000);
    let (script, data) = (SCRIPT.repeat(3_000), DATA.repeat(6_000));
    let bodies = [
        ("text/html", &page),
        ("text/css", &sheet),
        ("text/css; small", &SMALL_SHEET.repeat(3_000)),
        ("text/javascript", &script),
        ("application/json", &data),
    ];
    for (content_type, body) in bodies {
        for coding in ["", "gzip", "br", "zstd"] {
            measure(content_type, coding, body.as_bytes());
        }
    }
}

/// As tools make them, without white space.
const SMALL_SHEET: &str = "/*! a licence, see https://in/licence */.a-class>.another:hover{color:#123456;margin:0;\
    transform:translate(-50%,0)}.icon{background:url(data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcv) no-repeat;\
    width:calc(100% - 2em)}.b:after{content:\"\\201c\";font:inherit}@media (min-width:40em){.b{display:none}}";
const SCRIPT: &str = "// What it does, and why it isn't otherwise.\nexport function show(item, options = {}) {\n  \
    const element = document.createElement('div');\n  element.className = options.name || \"row item\";\n  \
    if (item.link) { element.dataset.link = `${item.link}?x=${item.id}`; }\n  \
    return fetch(\"http://in/api/items\", { method: 'POST', body: JSON.stringify(item) });\n}\n";
const DATA: &str = r#"{"id":42,"name":"a thing","description":"What people read about it, and a little more.","tags":["a","of use"],
"link":"http:\/\/in\/things\/42","ready":true,"owner":{"name":"someone","mail":"someone@example.com"}},"#;

fn measure(content_type: &str, name: &str, body: &[u8]) {
    let mut coded = body.to_vec();
    if let Some(mut encoder) = crate::coding::Encoder::new(crate::Coding::parse(name).unwrap()).unwrap() {
        coded.clear();
        encoder.write(body, &mut coded).unwrap();
        encoder.finish(&mut coded).unwrap();
    }
    // Whatever else runs on this core lengthens some rounds.
    let took = (0..ROUNDS).map(|_| once(&info(content_type, name), &coded)).min().unwrap();
    let rate = body.len() as f64 / (1 << 20) as f64 / took.as_secs_f64();
    println!("{content_type} {name}: {rate:.0} MiB/s");
}

const ROUNDS: u32 = 10;

fn once(info: &ContentInfo<'_>, coded: &[u8]) -> Duration {
    let began = Instant::now();
    let mut translator = translator(info, ALL).unwrap();
    let mut out = Vec::new();
    for mut piece in coded.chunks(32 << 10) {
        while translator.push(&mut piece, &mut out).unwrap() == Progress::More {
            out.clear();
        }
        out.clear();
    }
    translator.finish(&mut out).unwrap();
    began.elapsed()
}
