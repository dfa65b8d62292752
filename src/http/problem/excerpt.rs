//! Limits how much client text is repeated in answers and log lines.

use std::borrow::Cow;

/// Maximum number of characters of a client's text in one place of an answer or a log line.
pub(super) const LONGEST: usize = 200;

/// Maximum length of a detail whose quotations were shortened.
const LONGEST_DETAIL: usize = 1000;

/// `text`, or its first 200 characters and an ellipsis.
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// A problem's detail in which each quotation (between `"` or backticks, as `{:?}` and serde write them) is
/// shortened. If that is not enough, the middle of the detail is omitted.
pub(super) fn bounded(detail: String) -> String {
    if detail.len() <= LONGEST {
        return detail;
    }
    let detail = short_quotations(&detail);
    let count = detail.chars().count();
    if count <= LONGEST_DETAIL {
        return detail;
    }
    let (first, last) = (LONGEST * 3 / 5, LONGEST * 2 / 5);
    let beginning: String = detail.chars().take(first).collect();
    let end: String = detail.chars().skip(count - last).collect();
    format!("{beginning} … ({} characters omitted) … {end}", count - first - last)
}

fn short_quotations(detail: &str) -> String {
    let mut short = String::new();
    let mut rest = detail;
    while let Some((start, quote)) = rest.char_indices().find(|(_, c)| matches!(c, '"' | '`')) {
        let (before, quoted) = rest.split_at(start + 1);
        short.push_str(before);
        let end = closing(quoted, quote).unwrap_or(quoted.len());
        short.push_str(&excerpt(&quoted[..end]));
        rest = &quoted[end..];
        // Skip the closing quote, which does not start another quotation.
        if rest.starts_with(quote) {
            short.push(quote);
            rest = &rest[1..];
        }
    }
    short.push_str(rest);
    short
}

/// The end of the quotation that starts at the beginning of `text`.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(place, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote == '"';
        ends.then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_quotation_is_shortened_and_the_rest_is_unchanged() {
        let long = "A".repeat(10_000);
        for detail in [
            format!("there is no input {long:?}; there are pixels, input, image"),
            format!("unknown field `{long}`, there are pixels, input, image"),
        ] {
            let bounded = bounded(detail);
            assert_eq!(bounded.matches('A').count(), LONGEST, "{bounded}");
            assert!(
                bounded.contains('…') && bounded.ends_with("pixels, input, image"),
                "{bounded}"
            );
        }
    }

    #[test]
    fn escaped_quotes_do_not_end_a_quotation() {
        let long = "\"x\\".repeat(5_000);
        let bounded = bounded(format!("there is no input {long:?}; there is image"));
        assert!(bounded.matches('x').count() < LONGEST, "{bounded}");
        assert!(bounded.ends_with("there is image"), "{bounded}");
    }

    #[test]
    fn text_without_quotes_keeps_its_beginning_and_its_end() {
        let bounded = bounded(format!("begins {} ends", "A".repeat(1_000_000)));
        assert!(bounded.matches('A').count() <= LONGEST, "{bounded}");
        assert!(bounded.starts_with("begins ") && bounded.ends_with(" ends"), "{bounded}");
    }

    #[test]
    fn the_servers_own_text_is_not_shortened() {
        let ours = "as they are, ".repeat(50);
        assert_eq!(bounded(ours.clone()), ours);
        assert_eq!(excerpt("é".repeat(LONGEST).as_str()), "é".repeat(LONGEST));
    }
}
