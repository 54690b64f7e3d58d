use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// One node or attribute of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Its depth, so that no two trees are alike in lines only.
    Attribute {
        depth: usize,
        name: String,
        value: String,
    },
    Other(String),
}

impl Line {
    pub(super) fn holds_urls(&self) -> bool {
        matches!(self, Self::Attribute { name, .. } if HOLD_URLS.contains(&name.as_str()))
    }

    /// A URL outside of a value, as in `<a b='' http://in/>`: attributes named `http:` and `in`.
    pub(super) fn is_url_as_name(&self) -> bool {
        let of_url = |name: &str| name.starts_with("http") || name.starts_with("in") || name.starts_with("out.example");
        matches!(self, Self::Attribute { name, value, .. } if of_url(name) && value.is_empty())
    }

    pub(super) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Attribute { depth, name, value } => {
                Self::Attribute { depth: *depth, name: name.clone(), value: change(value) }
            }
            Self::Other(text) => Self::Other(change(text)),
        }
    }
}

/// HTML Standard and its forebears: every attribute whose value is a URL, or has some.
pub(in crate::tests) const HOLD_URLS: [&str; 19] = [
    "href",
    "src",
    "action",
    "formaction",
    "data",
    "poster",
    "cite",
    "background",
    "longdesc",
    "manifest",
    "codebase",
    "profile",
    "lowsrc",
    "dynsrc",
    "xlink:href",
    "ping",
    "archive",
    "srcset",
    "imagesrcset",
];

/// The tree that a browser which runs scripts makes of `page`, in its order.
pub(super) fn lines(page: &str) -> Vec<Line> {
    // Scripts run unless told otherwise: the text in a `noscript` is none of the tree.
    let parsed = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let mut lines = vec![Line::Other(format!("{:?}", parsed.quirks_mode.get()))];
    // A stack of its own: pages may be nested deeper than calls.
    let mut open: Vec<(usize, Handle)> = vec![(0, parsed.document.clone())];
    while let Some((depth, node)) = open.pop() {
        line(depth, &node, &mut lines);
        if let NodeData::Element { template_contents, .. } = &node.data
            && let Some(contents) = &*template_contents.borrow()
        {
            open.push((depth + 1, contents.clone()));
        }
        open.extend(node.children.borrow().iter().rev().map(|child| (depth + 1, child.clone())));
    }
    lines
}

fn line(depth: usize, node: &Handle, lines: &mut Vec<Line>) {
    let text = match &node.data {
        NodeData::Document => String::from("document"),
        NodeData::Doctype { name, public_id, system_id } => format!("doctype {name} {public_id} {system_id}"),
        NodeData::Text { contents } => format!("text {}", contents.borrow()),
        NodeData::Comment { contents } => format!("comment {contents}"),
        NodeData::ProcessingInstruction { target, contents } => format!("instruction {target} {contents}"),
        NodeData::Element { name, .. } => format!("element {} {}", name.ns, name.local),
    };
    lines.push(Line::Other(format!("{depth} {text}")));
    let NodeData::Element { attrs, .. } = &node.data else { return };
    for attribute in attrs.borrow().iter() {
        let prefix = attribute.name.prefix.as_ref().map_or(String::new(), |prefix| format!("{prefix}:"));
        let name = format!("{prefix}{}", attribute.name.local);
        lines.push(Line::Attribute { depth, name, value: attribute.value.to_string() });
    }
}
