//! Schemas and parameters of several routes: types for `utoipa::path`, without values.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, RefOr, Required, Schema, SchemaFormat};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::model::DEFAULT;

/// The bytes of a file.
pub(in super::super) enum Picture {}

/// A form of files.
pub(in super::super) enum Pictures {}

/// The model in a path.
pub(in super::super) enum NamedModel {}

/// The headers that shorten a request's deadline and set its class.
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
        let files = ArrayBuilder::new().items(file()).min_items(Some(1)).max_items(Some(256));
        ObjectBuilder::new()
            .property("image", files)
            .required("image")
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
            .description(Some("The model that is served"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .example(Some(json!(DEFAULT)));
        vec![model.build()]
    }
}

impl IntoParams for Scheduling {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let millis = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let limit = ParameterBuilder::new()
            .name("X-Request-Timeout-Ms")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Time limit for the answer in milliseconds; it can only shorten the server's own limit. A request that \
                 cannot be answered in time is rejected immediately (`deadline`)",
            ))
            .schema(Some(millis))
            .example(Some(json!(5000)));
        let classes = ObjectBuilder::new().schema_type(Type::String);
        let priority = ParameterBuilder::new()
            .name("X-Priority")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The class of the images: `interactive` (the default), or `batch` for images that are taken only while no \
                 interactive ones wait, but for one turn of sixteen",
            ))
            .schema(Some(classes.enum_values(Some(["interactive", "batch"]))))
            .example(Some(json!("batch")));
        vec![limit.build(), priority.build()]
    }
}
