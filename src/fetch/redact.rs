//! URLs in messages, without user name and password.

/// `url` without user name and password (the part of its authority before the `@`). `url` may be any text.
#[must_use]
pub fn without_password(url: &str) -> String {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end =
        url[authority..].find(['/', '?', '#', '\\']).map_or(url.len(), |length| authority + length);
    match url[authority..end].rfind('@') {
        None => url.to_owned(),
        Some(at) => format!("{}{}", &url[..authority], &url[authority + at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_and_all_else_is() {
        for (url, shown) in [
            ("https://name:secret@hub.example/a@b?c", "https://hub.example/a@b?c"),
            ("https://name:se@cret@hub.example", "https://hub.example"),
            ("https://hub.example:99999/x", "https://hub.example:99999/x"),
            ("name:secret@hub.example/x", "hub.example/x"),
            ("https://name@hub.example?x", "https://hub.example?x"),
            ("nothing", "nothing"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
