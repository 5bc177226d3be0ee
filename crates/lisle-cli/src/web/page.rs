//! The page: one document with all that it needs.
#![forbid(unsafe_code)]

use super::guard::Secret;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In this order they are one script.
const SCRIPT: [&str; 11] = [
    include_str!("page/words.js"),
    include_str!("page/model.js"),
    include_str!("page/grid.js"),
    include_str!("page/threads.js"),
    include_str!("page/details.js"),
    include_str!("page/layout.js"),
    include_str!("page/graph.js"),
    include_str!("page/contention.js"),
    include_str!("page/timeline.js"),
    include_str!("page/reports.js"),
    include_str!("page/main.js"),
];

/// The page, whose script and style bear this nonce.
pub(super) fn with_nonce(nonce: &Secret) -> String {
    let script = SCRIPT.concat();
    let style = format!("<style nonce=\"{nonce}\">\n{STYLE}</style>");
    let script = format!("<script nonce=\"{nonce}\">\n\"use strict\";\n{{\n{script}}}\n</script>");
    PAGE.replace("<!-- style -->", &style).replace("<!-- script -->", &script)
}
