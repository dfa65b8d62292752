//! Metadata of server and models as messages.

use super::messages::model_config::SchedulingChoice;
use super::messages::model_input::Format as WireFormat;
use super::messages::model_metadata_response::TensorMetadata as WireTensor;
use super::messages::model_version_policy::{Latest, PolicyChoice};
use super::messages::repository_index_response::ModelIndex;
use super::messages::{
    DataType, InferStatistics, ModelConfig, ModelDynamicBatching, ModelInput,
    ModelMetadataResponse, ModelOutput, ModelStatistics, ModelStatisticsResponse,
    ModelVersionPolicy, RepositoryIndexResponse, ServerMetadataResponse, StatisticDuration,
};
use crate::http::App;
use crate::http::protocol::v2::signature::{
    self, NamedInput, NamedOutput, TensorFormat, TensorMetadata,
};
use crate::http::protocol::v2::statistics::{Span, Statistics};
use crate::http::protocol::v2::tensor::{self, Datatype};
use crate::registry::{Registry, Served};

pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: signature::SERVER.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: signature::EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

pub(super) fn model(app: &App) -> ModelMetadataResponse {
    let tensor = |described: TensorMetadata| WireTensor {
        name: described.name.to_owned(),
        datatype: described.datatype.name().to_owned(),
        shape: described.shape(),
    };
    ModelMetadataResponse {
        name: app.model.name().to_owned(),
        versions: app
            .server
            .registry
            .versions(app.model.name())
            .iter()
            .map(ToString::to_string)
            .collect(),
        platform: signature::PLATFORM.to_owned(),
        inputs: NamedInput::ALL.map(|input| tensor(input.describe(app))).to_vec(),
        outputs: NamedOutput::given(app).map(|output| tensor(output.describe(app))).collect(),
    }
}

/// Triton's model configuration, as far as it applies to this server.
pub(super) fn config(app: &App) -> ModelConfig {
    let input = |input: NamedInput| {
        let described = input.describe(app);
        ModelInput {
            name: described.name.to_owned(),
            data_type: data_type(described.datatype).into(),
            format: format(described.format).into(),
            dims: described.dims,
            optional: input != NamedInput::Pixels,
        }
    };
    let output = |output: NamedOutput| {
        let described = output.describe(app);
        ModelOutput {
            name: described.name.to_owned(),
            data_type: data_type(described.datatype).into(),
            dims: described.dims,
        }
    };
    let versions = app.server.registry.versions(app.model.name()).len();
    let num_versions = u32::try_from(versions).unwrap_or(u32::MAX);
    let latest = PolicyChoice::Latest(Latest { num_versions });
    ModelConfig {
        name: app.model.name().to_owned(),
        platform: signature::PLATFORM.to_owned(),
        version_policy: Some(ModelVersionPolicy { policy_choice: Some(latest) }),
        max_batch_size: i32::try_from(tensor::MAX_BATCH).unwrap_or(i32::MAX),
        input: NamedInput::ALL.map(input).to_vec(),
        output: NamedOutput::given(app).map(output).collect(),
        scheduling_choice: Some(SchedulingChoice::DynamicBatching(ModelDynamicBatching {})),
        backend: "onnxruntime".to_owned(),
    }
}

pub(super) fn statistics<'a>(
    models: impl IntoIterator<Item = &'a Served>,
) -> ModelStatisticsResponse {
    ModelStatisticsResponse { model_stats: models.into_iter().map(of_model).collect() }
}

fn of_model(model: &Served) -> ModelStatistics {
    let all = Statistics::of(model.pipeline.metrics());
    let span = |span: Span| Some(StatisticDuration { count: span.count, ns: span.ns });
    ModelStatistics {
        name: model.name().to_owned(),
        version: model.version.to_string(),
        inference_count: all.images,
        execution_count: all.runs,
        inference_stats: Some(InferStatistics {
            success: span(all.success),
            fail: span(all.fail),
            queue: span(all.queue),
            compute_input: span(all.compute_input),
            compute_infer: span(all.compute_infer),
            compute_output: span(Span::default()),
            cache_hit: span(Span::default()),
            cache_miss: span(Span::default()),
        }),
    }
}

pub(super) fn index(registry: &Registry) -> RepositoryIndexResponse {
    let models = registry.list().into_iter().map(|listed| ModelIndex {
        name: listed.name,
        version: listed.version.to_string(),
        state: listed.state.word().to_owned(),
        reason: listed.state.reason().to_owned(),
    });
    RepositoryIndexResponse { models: models.collect() }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Bytes => DataType::TypeString,
    }
}

fn format(format: TensorFormat) -> WireFormat {
    match format {
        TensorFormat::None => WireFormat::None,
        TensorFormat::Nhwc => WireFormat::Nhwc,
        TensorFormat::Nchw => WireFormat::Nchw,
    }
}
