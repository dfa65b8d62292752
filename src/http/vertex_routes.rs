//! Additional routes with paths set by Vertex AI.

/// The paths to which Vertex AI sends requests, in addition to the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VertexRoutes {
    pub(super) predict: Option<String>,
    pub(super) health: Option<String>,
}

/// A path that cannot be used for a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    /// Not a valid path.
    #[error(
        "{option} is {typed:?}; it takes a path such as /predict, of visible ASCII without {{ }} * ? \
         # % and \\, whose parts do not begin with a colon"
    )]
    NotAPath {
        /// The option.
        option: &'static str,
        /// The value of the option.
        typed: String,
    },
    /// The path of another route.
    #[error("{option} is {typed}, which is the path of another route; choose another path")]
    Reserved {
        /// The option.
        option: &'static str,
        /// The value of the option.
        typed: String,
    },
}

/// Paths that already answer as Vertex AI expects.
const PREDICT_PATHS: &[&str] = &["/invocations"];
const HEALTH_PATHS: &[&str] = &["/ping", "/health", "/livez", "/readyz"];
/// Paths of other routes.
#[rustfmt::skip] // in rows
const RESERVED_PATHS: &[&str] = &[
    "/", "/classify", "/embed", "/preprocess", "/metrics", "/v1/model", "/v1/models",
    "/docs", "/openapi.json", "/v2",
];
/// Folders of other routes.
const RESERVED_FOLDERS: &[&str] = &["/page/", "/docs/", "/v2/"];

impl VertexRoutes {
    /// Validates the given paths.
    ///
    /// # Errors
    ///
    /// All invalid paths.
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
                    || RESERVED_PATHS.contains(&typed)
                    || RESERVED_FOLDERS.iter().any(|folder| typed.starts_with(folder)) =>
            {
                wrong.push(BadRoute::Reserved { option, typed: typed.to_owned() });
                None
            }
            Some(typed) => Some(typed.to_owned()),
        };
        let routes = Self {
            predict: checked("--vertex-predict-route", predict, PREDICT_PATHS, HEALTH_PATHS),
            health: checked("--vertex-health-route", health, HEALTH_PATHS, PREDICT_PATHS),
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
        // axum rejects such paths, which were parameters in earlier versions.
        && !typed.contains("/:")
}
