//! `servers` → base paths.

use std::rc::Rc;

use super::node::{Node, Place};

/// Values of one server variable, and base paths in all, that are looked at.
const MAX_CHOICES: usize = 16;

/// The path of each server's URL, with every value that its variables can have, without a slash at
/// the end. Problems go to `tell`. A list that is absent or empty is one server at the root.
pub(super) fn base_paths(
    servers: Option<&Rc<Node>>,
    mut tell: impl FnMut(Place, String, &str),
) -> Vec<String> {
    let Some(servers) = servers else { return vec![String::new()] };
    let Some(items) = servers.items() else {
        tell(servers.at, "`servers` is not a list".to_owned(), "write - url: /v1 below servers");
        return vec![String::new()];
    };
    let mut bases: Vec<String> = Vec::new();
    for server in items {
        let Some(url) = server.get("url").and_then(|url| url.text()) else {
            tell(server.at, "a server has no `url`".to_owned(), "write - url: /v1");
            continue;
        };
        for url in choices(url, server.get("variables")) {
            let base = path_of(&url).trim_end_matches('/').to_owned();
            if !bases.contains(&base) && bases.len() < MAX_CHOICES {
                bases.push(base);
            }
        }
    }
    if bases.is_empty() {
        bases.push(String::new());
    }
    bases
}

/// The URL with each value of its variables; one of which nothing is known stays as it is, and
/// stands for any one segment.
fn choices(url: &str, variables: Option<&Rc<Node>>) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    for variable in variables.and_then(|all| all.entries()).unwrap_or_default() {
        let placeholder = format!("{{{}}}", variable.key);
        if !url.contains(&placeholder) {
            continue;
        }
        let listed = variable.node.get("enum").and_then(|list| list.items()).unwrap_or_default();
        let default = variable.node.get("default").into_iter();
        let mut values: Vec<&str> = listed.iter().chain(default).filter_map(|v| v.text()).collect();
        values.dedup();
        if values.is_empty() {
            continue;
        }
        let all = urls.iter().flat_map(|url| values.iter().map(|v| url.replace(&placeholder, v)));
        urls = all.take(MAX_CHOICES).collect();
    }
    urls
}

/// The path of a URL, absolute or relative (RFC 3986, section 4.1), without query and fragment.
fn path_of(url: &str) -> &str {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url.strip_prefix('.').unwrap_or(url),
    };
    rest.split(['?', '#']).next().unwrap_or_default()
}
