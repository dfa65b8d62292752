//! Schemas and parameters that routes share: types for `utoipa::path`, without values.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, RefOr, Required, Schema, SchemaFormat};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::model::DEFAULT;

/// The bytes of a file.
pub(in super::super) enum Picture {}

/// A form with files.
pub(in super::super) enum Pictures {}

/// A body with an image's URL.
#[derive(ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://images.example.org/cat.jpg"}))]
#[expect(dead_code, reason = "only a schema; the body is parsed without copying")]
pub(in super::super) struct ImageUrl {
    /// The image's URL. The server fetches it if `--allow-url-hosts` allows its host.
    #[schema(format = "uri", max_length = 8192)]
    url: String,
}

/// The path parameter for the model.
pub(in super::super) enum NamedModel {}

/// The headers for deadline and priority, and the query parameter `fallback`.
pub(in super::super) enum Scheduling {}

fn file() -> ObjectBuilder {
    let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
    ObjectBuilder::new().schema_type(Type::String).format(Some(binary))
}

impl PartialSchema for Picture {
    fn schema() -> RefOr<Schema> {
        file().into()
    }
}

impl ToSchema for Picture {}

impl PartialSchema for Pictures {
    fn schema() -> RefOr<Schema> {
        // Without named properties, because some generators import the model of a form without creating it.
        ObjectBuilder::new()
            .additional_properties(Some(file()))
            .min_properties(Some(1))
            .max_properties(Some(256))
            .description(Some("Every part with a filename is an image, whatever its field name; at most 256. Text fields are parameters, as in the query"))
            .into()
    }
}

impl ToSchema for Pictures {}

impl IntoParams for NamedModel {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let model = ParameterBuilder::new()
            .name("model")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("Name of the model"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .example(Some(json!(DEFAULT)));
        vec![model.build()]
    }
}

impl IntoParams for Scheduling {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = optional("X-Request-Timeout-Ms", ParameterIn::Header)
            .description(Some(
                "Time limit for the answer in milliseconds; it can only shorten the server's own limit. A request that \
                 cannot be answered in time is rejected immediately (`deadline`)",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1))));
        let priority = optional("X-Priority", ParameterIn::Header)
            .description(Some(
                "Priority class of the images: `interactive` (the default), or `batch` for images that are run only while no \
                 interactive ones wait, except for one turn of sixteen",
            ))
            .schema(Some(one_of(["interactive", "batch"])));
        let fallback = optional("fallback", ParameterIn::Query)
            .description(Some(
                "`off`: only the requested model answers, and no cheaper one during overload (see `when-busy` in \
                 `docs/models-in-service.md`)",
            ))
            .schema(Some(one_of(["on", "off"])));
        vec![limit.build(), priority.build(), fallback.build()]
    }
}

fn optional(name: &str, place: ParameterIn) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::False)
}

fn one_of(words: [&str; 2]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}
