//! Content that links to other applications by their internal URLs: four of them, of which three are published and one has its
//! content translated.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flate2::read::GzDecoder;
use postern_tests::client::{Answer, Client};
use postern_tests::nginx::Nginx;
use postern_tests::world::{World, free_address};

/// Where each is inside.
struct Applications {
    benefits: SocketAddr,
    expenses: SocketAddr,
    travel: SocketAddr,
    feedback: SocketAddr,
}

impl Applications {
    fn somewhere() -> Self {
        let free = || free_address(Ipv4Addr::LOCALHOST).unwrap();
        Self { benefits: free(), expenses: free(), travel: free(), feedback: free() }
    }

    /// A page with every kind of link.
    fn page(&self) -> String {
        let Self { benefits, expenses, travel, feedback } = self;
        format!(
            "<!doctype html><title>Benefits</title><link rel=stylesheet href=\"http://{benefits}/style.css\">\n\
             <style>@import 'http://{travel}/t.css'; body {{ background: url(http://{benefits}/b.png) }}</style>\n\
             <meta http-equiv=refresh content=\"300; url=http://{expenses}/\">\n\
             <a href='http://{expenses}/claims?id=1&amp;x=2#new'>Expenses</a> <a href=//{travel}/>Travel</a>\n\
             <a href=\"http://{feedback}/form\">Feedback</a> <a href=/here>here</a> http://{expenses}/\n\
             <img srcset=\"http://{travel}/a.png 1x, /b.png 2x\" style='background: url(\"http://{travel}/c.png\")'>\n\
             <form action=http://{expenses}/new method=post></form>\n"
        )
    }

    /// The same as users see it, who reach each at its host.
    fn translated(&self, benefits: &str, expenses: &str, travel: &str) -> String {
        let feedback = self.feedback;
        format!(
            "<!doctype html><title>Benefits</title><link rel=stylesheet href=\"https://{benefits}/style.css\">\n\
             <style>@import 'https://{travel}/t.css'; body {{ background: url(https://{benefits}/b.png) }}</style>\n\
             <meta http-equiv=refresh content=\"300; url=https://{expenses}/\">\n\
             <a href='https://{expenses}/claims?id=1&amp;x=2#new'>Expenses</a> <a href=https://{travel}/>Travel</a>\n\
             <a href=\"http://{feedback}/form\">Feedback</a> <a href=/here>here</a> http://{}/\n\
             <img srcset=\"https://{travel}/a.png 1x, /b.png 2x\" style='background: url(\"https://{travel}/c.png\")'>\n\
             <form action=https://{expenses}/new method=post></form>\n",
            self.expenses
        )
    }

    fn directives(&self, world: &World) -> String {
        let files = world.folder().join("benefits/files");
        let files = files.display();
        let travel = self.travel;
        format!(
            "gzip_proxied any;
    location = /page {{ default_type text/html; gzip on; alias {files}/page; }}
    location = /style {{ default_type text/css; return 200 'a {{ background: url(http://{travel}/d.png) }}'; }}
    location = /broken {{ default_type text/html; add_header Content-Encoding gzip; return 200 '<p>this is not gzip</p>'; }}
    location = /kept {{ default_type text/html; add_header Cache-Control no-transform; return 200 'http://{travel}/'; }}"
        )
    }
}

fn ask(client: &Client, fields: &[(&str, &str)]) -> Answer {
    client.connect().unwrap().request("GET", "/page", fields, b"").unwrap()
}

fn unzipped(answer: &Answer) -> String {
    let mut text = String::new();
    GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn links_to_published_applications_come_out_and_others_stay() {
    let world = World::usual().unwrap();
    let applications = Applications::somewhere();
    let benefits_at = applications.benefits;
    let nginx = Nginx::start_saying(world.folder(), "benefits", benefits_at, &applications.directives(&world)).unwrap();
    std::fs::write(nginx.file("page"), applications.page()).unwrap();
    let internal = format!("http://{benefits_at}/");
    let benefits = world.publish_with("benefits", &internal, &["--set", "translate_body=on"]).unwrap();
    let expenses = world.publish("expenses", &format!("http://{}/", applications.expenses)).unwrap();
    let travel = world.publish("travel", &format!("http://{}/", applications.travel)).unwrap();
    let expected = applications.translated(&benefits.host, &expenses.host, &travel.host);

    let leads_there = |_: &World| benefits.get("/page").is_ok_and(|answer| answer.text() == expected);
    world.expect_within(Duration::from_secs(10), "the page links to what is published", leads_there).unwrap();
    let plain = ask(&benefits, &[]);
    assert_eq!((plain.status, plain.text()), (200, expected.clone()));
    assert_eq!((plain.header("content-encoding"), plain.header("content-length")), (None, None));
    let zipped = ask(&benefits, &[("Accept-Encoding", "gzip, dcb")]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(unzipped(&zipped), expected);
    let style = benefits.get("/style").unwrap().text();
    assert_eq!(style, format!("a {{ background: url(https://{}/d.png) }}", travel.host));
    assert_eq!(benefits.get("/kept").unwrap().text(), format!("http://{}/", applications.travel));

    // What is not true of a translation is not said of it, and ranges of it are not to be had.
    let whole = ask(&benefits, &[("Range", "bytes=0-9")]);
    assert_eq!((whole.status, whole.text()), (200, expected));
    assert_eq!((whole.header("accept-ranges"), whole.header("last-modified")), (Some("none"), None));
    let tag = whole.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(ask(&benefits, &[("If-None-Match", &tag)]).status, 304);

    // Once a link leads somewhere else, what browsers have is not good any more.
    world.cli(&["app", "unpublish", "travel"]).unwrap();
    let changed = |_: &World| ask(&benefits, &[("If-None-Match", &tag)]).status == 200;
    world.expect_within(Duration::from_secs(10), "the old page is not confirmed", changed).unwrap();
    let left = format!("http://{}/a.png 1x", applications.travel);
    assert!(benefits.get("/page").unwrap().text().contains(&left));
}

#[test]
fn nothing_is_touched_unless_it_is_asked_for() {
    let world = World::usual().unwrap();
    let applications = Applications::somewhere();
    let at = applications.benefits;
    let nginx = Nginx::start_saying(world.folder(), "benefits", at, &applications.directives(&world)).unwrap();
    std::fs::write(nginx.file("page"), applications.page()).unwrap();
    let benefits = world.publish("benefits", &format!("http://{at}/")).unwrap();
    let plain = ask(&benefits, &[]);
    assert_eq!(plain.text(), applications.page());
    assert_eq!(plain.header("content-length"), Some(&*applications.page().len().to_string()));
    assert!(plain.header("etag").is_some_and(|tag| tag.starts_with('"')));
    assert_eq!(ask(&benefits, &[("Range", "bytes=0-9")]).status, 206);
    world.cli(&["app", "set", "benefits", "--set", "translate_body=yes"]).unwrap_err();
}

#[test]
fn a_body_that_breaks_its_coding_is_never_presented_as_complete() {
    let world = World::usual().unwrap();
    let applications = Applications::somewhere();
    let at = applications.benefits;
    let _nginx = Nginx::start_saying(world.folder(), "benefits", at, &applications.directives(&world)).unwrap();
    let benefits = world.publish_with("benefits", &format!("http://{at}/"), &["--set", "translate_body=html"]).unwrap();
    // An error, or an answer that breaks off, which the client reports as one.
    if let Ok(answer) = benefits.get("/broken") {
        assert_eq!(answer.status, 502, "{answer:?}");
    }
}
