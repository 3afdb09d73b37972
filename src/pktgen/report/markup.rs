//! Only for tests: whether a page or an image is well-formed, as far as the renderings need it.

/// Elements of HTML that have no end.
const VOID: [&str; 2] = ["meta", "!doctype"];

/// What is wrong with the markup: an end that does not match, an element left open, a bare `<`,
/// `&` or control character. `None`: nothing.
pub(super) fn fault(markup: &str) -> Option<String> {
    if let Some(odd) = markup.chars().find(|c| c.is_control() && *c != '\n') {
        return Some(format!("control character {odd:?}"));
    }
    let entities = ["amp;", "lt;", "gt;", "quot;", "apos;", "#39;"];
    for after in markup.split('&').skip(1) {
        if !entities.iter().any(|entity| after.starts_with(entity)) {
            return Some(format!("bare & before {:?}", after.chars().take(20).collect::<String>()));
        }
    }
    let mut open: Vec<&str> = Vec::new();
    for after in markup.split('<').skip(1) {
        let Some((tag, _)) = after.split_once('>') else {
            return Some(format!("bare < before {after:?}"));
        };
        let name = tag.split([' ', '/', '\n']).find(|part| !part.is_empty()).unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> ends nothing"));
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name.to_lowercase().as_str()) {
            open.push(name);
        }
    }
    open.pop().map(|name| format!("<{name}> is left open"))
}

#[test]
fn it_finds_what_is_wrong() {
    assert_eq!(fault("<a><b/>x &amp; y</a>"), None);
    for wrong in ["<a>", "<a></b>", "a < b", "<a>&</a>", "</a>", "<a>\u{1}</a>", "<p>a<b</p>"] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
}
