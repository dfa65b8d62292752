//! The page of a plot, as an SVG in light and dark colours.

const TEXT: &str = "text{font:12px sans-serif;fill:#333}.page{fill:#fff}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.page{fill:#181818}}";

/// A page of `width` and `height` with `title` above `elements`, which `style` colours.
pub(crate) fn page([width, height]: [f64; 2], title: &str, style: &str, elements: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{TEXT}{style}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n\
         <text x=\"16\" y=\"24\">{title}</text>\n{elements}</svg>\n"
    )
}
