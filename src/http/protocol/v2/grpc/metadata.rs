//! What there is, as messages.

use super::messages::model_config::SchedulingChoice;
use super::messages::model_input::Format as WireFormat;
use super::messages::model_metadata_response::TensorMetadata;
use super::messages::model_version_policy::{Latest, PolicyChoice};
use super::messages::repository_index_response::ModelIndex;
use super::messages::{
    DataType, InferStatistics, ModelConfig, ModelDynamicBatching, ModelInput,
    ModelMetadataResponse, ModelOutput, ModelStatistics, ModelStatisticsResponse,
    ModelVersionPolicy, RepositoryIndexResponse, ServerMetadataResponse, StatisticDuration,
};
use crate::http::App;
use crate::http::protocol::v2::served::{self, Described, Format, Input, Output};
use crate::http::protocol::v2::statistics::{Span, Statistics};
use crate::http::protocol::v2::tensor::Datatype;

pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: served::SERVER.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: served::EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

pub(super) fn model(app: &App) -> ModelMetadataResponse {
    let tensor = |described: Described| TensorMetadata {
        name: described.name.to_owned(),
        datatype: described.datatype.name().to_owned(),
        shape: described.shape(),
    };
    ModelMetadataResponse {
        name: app.pipeline.card().name.clone(),
        versions: vec![served::VERSION.to_owned()],
        platform: served::PLATFORM.to_owned(),
        inputs: Input::ALL.map(|input| tensor(input.describe(app))).to_vec(),
        outputs: Output::given(app).map(|output| tensor(output.describe(app))).collect(),
    }
}

/// As much of Triton's model configuration as is true of this server.
pub(super) fn config(app: &App) -> ModelConfig {
    let input = |input: Input| {
        let described = input.describe(app);
        ModelInput {
            name: described.name.to_owned(),
            data_type: data_type(described.datatype).into(),
            format: format(described.format).into(),
            dims: described.dims,
            optional: input != Input::Pixels,
        }
    };
    let output = |output: Output| {
        let described = output.describe(app);
        ModelOutput {
            name: described.name.to_owned(),
            data_type: data_type(described.datatype).into(),
            dims: described.dims,
        }
    };
    let latest = PolicyChoice::Latest(Latest { num_versions: 1 });
    ModelConfig {
        name: app.pipeline.card().name.clone(),
        platform: served::PLATFORM.to_owned(),
        version_policy: Some(ModelVersionPolicy { policy_choice: Some(latest) }),
        max_batch_size: i32::try_from(served::MAX_BATCH).unwrap_or(i32::MAX),
        input: Input::ALL.map(input).to_vec(),
        output: Output::given(app).map(output).collect(),
        scheduling_choice: Some(SchedulingChoice::DynamicBatching(ModelDynamicBatching {})),
        backend: "onnxruntime".to_owned(),
    }
}

pub(super) fn statistics(app: &App) -> ModelStatisticsResponse {
    let all = Statistics::of(&app.metrics);
    let span = |span: Span| Some(StatisticDuration { count: span.count, ns: span.ns });
    let model = ModelStatistics {
        name: app.pipeline.card().name.clone(),
        version: served::VERSION.to_owned(),
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
    };
    ModelStatisticsResponse { model_stats: vec![model] }
}

pub(super) fn index(app: &App) -> RepositoryIndexResponse {
    let (state, reason) = match served::ready(app) {
        Ok(()) => ("READY", String::new()),
        Err(why_not) => ("UNAVAILABLE", why_not.detail().to_owned()),
    };
    let model = ModelIndex {
        name: app.pipeline.card().name.clone(),
        version: served::VERSION.to_owned(),
        state: state.to_owned(),
        reason,
    };
    RepositoryIndexResponse { models: vec![model] }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Bytes => DataType::TypeString,
    }
}

fn format(format: Format) -> WireFormat {
    match format {
        Format::None => WireFormat::None,
        Format::Nhwc => WireFormat::Nhwc,
        Format::Nchw => WireFormat::Nchw,
    }
}
