//! The additional routes of Vertex AI, which tells the server their paths.

/// The paths to which Vertex AI sends requests, in addition to the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VertexRoutes {
    pub(super) predict: Option<String>,
    pub(super) health: Option<String>,
}

/// A path at which nothing can be put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    /// Not the path of a URL.
    #[error(
        "{option} is {typed:?}; it takes a path such as /predict, of visible ASCII without {{ }} * ? \
         # and %, whose parts do not begin with a colon"
    )]
    NotAPath {
        /// Which option.
        option: &'static str,
        /// What was typed.
        typed: String,
    },
    /// A path that answers something else.
    #[error("{option} is {typed}, where resnetd answers something else; choose another path")]
    Taken {
        /// Which option.
        option: &'static str,
        /// What was typed.
        typed: String,
    },
}

/// Paths that answer as Vertex AI expects anyway.
const PREDICTS: &[&str] = &["/invocations"];
const TELLS_HEALTH: &[&str] = &["/ping", "/health", "/livez", "/readyz"];
/// And those that have another use.
#[rustfmt::skip] // in rows
const TAKEN: &[&str] = &[
    "/", "/classify", "/embed", "/preprocess", "/metrics", "/v1/model", "/v1/models",
    "/docs", "/openapi.json", "/v2",
];
/// And those under which everything has.
const FOLDERS: &[&str] = &["/page/", "/docs/", "/v2/"];

impl VertexRoutes {
    /// With these paths, where there are any.
    ///
    /// # Errors
    ///
    /// Every [`BadRoute`] among them.
    pub fn new(predict: Option<&str>, health: Option<&str>) -> Result<Self, Vec<BadRoute>> {
        let mut wrong = Vec::new();
        let mut checked = |option, typed: Option<&str>, same: &[&str], other: &[&str]| match typed {
            None => None,
            Some(typed) if same.contains(&typed) => None,
            Some(typed) if !is_path(typed) => {
                wrong.push(BadRoute::NotAPath { option, typed: typed.to_owned() });
                None
            }
            Some(typed)
                if other.contains(&typed)
                    || TAKEN.contains(&typed)
                    || FOLDERS.iter().any(|folder| typed.starts_with(folder)) =>
            {
                wrong.push(BadRoute::Taken { option, typed: typed.to_owned() });
                None
            }
            Some(typed) => Some(typed.to_owned()),
        };
        let routes = Self {
            predict: checked("--vertex-predict-route", predict, PREDICTS, TELLS_HEALTH),
            health: checked("--vertex-health-route", health, TELLS_HEALTH, PREDICTS),
        };
        if wrong.is_empty() { Ok(routes) } else { Err(wrong) }
    }

    /// The additional path of health checks.
    #[must_use]
    pub fn health(&self) -> Option<&str> {
        self.health.as_deref()
    }
}

fn is_path(typed: &str) -> bool {
    typed.len() > 1
        && typed.starts_with('/')
        && typed.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}*?#%\\".contains(&byte))
        // axum takes those for the parameters that it had earlier.
        && !typed.contains("/:")
}
