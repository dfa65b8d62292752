//! Options for the model, its device and its use of cores.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ConfigError, HubArgs};
use crate::device::{Device, DeviceChoice};
use crate::model::{self, PrecisionChoice};
use crate::pipeline::Decoding;
use crate::pipeline::preprocess::JpegScaling;
use crate::pipeline::queue::BatchPlan;

/// Options of every command that runs a model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The model: an embedded name, a folder, a file, or a model on the Hugging Face hub
    ///
    /// That is: the name of an embedded model; imagenet, the starter model of 1,000 classes; a
    /// folder with weights and either card.toml or the config.json of timm or transformers; a
    /// weights file; an .onnx file; or a model on the hub, as owner/name or owner/name@revision. See
    /// docs/models.md. serve takes it several times, as NAME=SOURCE; see docs/models-in-service.md
    #[arg(long, env = "RESNETD_MODEL", default_value = model::DEFAULT, value_name = "NAME|PATH|ID")]
    pub model: String,

    /// Architecture of the weights, where it cannot be detected; `resnetd describe` lists all
    /// architectures
    #[arg(hide_short_help = true, long, env = "RESNETD_ARCH", value_name = "ARCH")]
    pub arch: Option<String>,

    /// File with class names, one per line; replaces those of every model
    ///
    /// [default: those of the card or the config.json; otherwise the ImageNet-1k labels for 1,000
    /// classes, or class 0, class 1, …]
    #[arg(long, env = "RESNETD_LABELS", value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// Device: auto, cpu, cuda or cuda:N
    ///
    /// With auto, the first CUDA device if it runs the model, otherwise the CPU; a named device that
    /// is not available is an error
    #[arg(long, env = "RESNETD_DEVICE", default_value = "auto", value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Precision: auto, fp32, int8 or fp16
    ///
    /// With auto, a model that has an int8 variant runs as int8 on a CPU with VNNI or an ARM CPU; any
    /// other model runs in the precision of its weights
    #[arg(long, env = "RESNETD_PRECISION", default_value = "auto", value_name = "PRECISION")]
    pub precision: PrecisionChoice,

    /// Apply the temperature scaling of the model's card. See docs/calibration.md
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_CALIBRATED",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub calibrated: Calibrated,

    /// Number of ONNX Runtime sessions that run in parallel [default: on a CPU the number of cores
    /// divided by --threads, on a GPU one]
    #[arg(hide_short_help = true, long, env = "RESNETD_SESSIONS", value_name = "N")]
    pub sessions: Option<usize>,

    /// Number of threads in each session [default: 1]
    #[arg(hide_short_help = true, long, env = "RESNETD_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Maximum batch size. On a CPU, a batch of N images forms only while at least
    /// 2 × sessions × N images are queued; with --max-wait, a batch has all queued images up to
    /// this size [default: 4 on a CPU, 32 on a GPU]
    #[arg(hide_short_help = true, long, env = "RESNETD_MAX_BATCH", value_name = "N")]
    pub max_batch: Option<usize>,

    /// Number of dedicated decoder threads; with 0, each session's worker decodes its own images
    /// [default: 0 on a CPU, one per core on a GPU]
    #[arg(hide_short_help = true, long, env = "RESNETD_DECODERS", value_name = "N")]
    pub decoders: Option<usize>,

    /// Run the model on a GPU through CUDA graphs, which reduces the CPU's work for small networks.
    /// The whole graph must be able to run on the GPU
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_CUDA_GRAPHS",
        default_value = "off",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub cuda_graphs: CudaGraphs,

    /// Compute int8 convolutions with resnetd's own code where it is faster than ONNX Runtime's, on
    /// x86 processors with AVX-512 VNNI. The scores are the same
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_INT8_KERNELS",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub int8_kernels: Int8Kernels,

    /// Decode a JPEG that is much larger than needed at 1/2, 1/4 or 1/8 of its size:
    /// several times faster; most input pixels differ by at most one level of 255
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_JPEG_SCALING",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub jpeg_scaling: JpegScaling,

    /// Path of ONNX Runtime's shared library, or of its folder [default: ORT_DYLIB_PATH, then the
    /// executable's folder, ../lib beside it, .onnxruntime/lib, and the system's library path]
    #[expect(clippy::doc_markdown, reason = "help text is not Markdown")]
    #[arg(hide_short_help = true, long, env = "RESNETD_ONNXRUNTIME", value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub hub: HubArgs,
}

/// Whether a card's calibration is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calibrated {
    /// Apply it, if the card has a calibration for this precision.
    On,
    /// Do not apply it; use the softmax of the graph's logits.
    Off,
}

/// Whether runs on a GPU are replayed from CUDA graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CudaGraphs {
    /// Capture one graph for each batch size.
    On,
    /// Launch every kernel from the CPU.
    Off,
}

/// Whether this program's kernels for int8 convolutions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Int8Kernels {
    /// Use them for convolutions that they compute faster than ONNX Runtime.
    On,
    /// Use ONNX Runtime's code for all convolutions.
    Off,
}

impl ModelArgs {
    /// Sessions and threads for a machine with `cores` cores.
    ///
    /// The device is chosen later, so there are values for both kinds. On a CPU, one single-threaded session
    /// per core, which also decodes its images, is fastest for most networks. A GPU is kept busy by one
    /// session, which must not wait for decoding.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a count is 0, or if CUDA graphs are requested on a CPU.
    pub fn concurrency(&self, cores: usize) -> Result<Concurrency, ConfigError> {
        let threads = self.threads.unwrap_or(1);
        let sessions = self.sessions.unwrap_or(1);
        let mut wrong = Vec::new();
        let max_batch = self.max_batch.unwrap_or(1);
        for (option, count) in
            [("--sessions", sessions), ("--threads", threads), ("--max-batch", max_batch)]
        {
            if count == 0 {
                wrong.push(format!("{option} is 0; it must be at least 1"));
            }
        }
        let cuda_graphs = self.cuda_graphs == CudaGraphs::On;
        if cuda_graphs && self.device == DeviceChoice::Only(Device::Cpu) {
            wrong.push(
                "--cuda-graphs on needs a GPU, but --device is cpu; remove one of them".to_owned(),
            );
        }
        let decoding = |decoders| match decoders {
            0 => Decoding::Inline,
            threads => Decoding::Dedicated { threads },
        };
        if wrong.is_empty() {
            let share = |sessions, max_batch, decoders| DeviceConcurrency {
                sessions,
                max_batch: self.max_batch.unwrap_or(max_batch),
                decoding: decoding(self.decoders.unwrap_or(decoders)),
            };
            let per_core = self.sessions.unwrap_or((cores / threads).max(1));
            Ok(Concurrency {
                on_cpu: share(per_core, 4, 0),
                on_gpu: share(sessions, 32, cores),
                threads,
                cuda_graphs,
                int8_kernels: self.int8_kernels == Int8Kernels::On,
            })
        } else {
            Err(ConfigError(wrong))
        }
    }
}

/// Numbers of sessions and threads, for each kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    on_cpu: DeviceConcurrency,
    on_gpu: DeviceConcurrency,
    /// Threads inside each session.
    pub threads: usize,
    /// Whether a GPU replays runs from CUDA graphs.
    pub cuda_graphs: bool,
    /// Whether a CPU uses this program's kernels for int8 convolutions.
    pub int8_kernels: bool,
}

/// Sessions and threads for one kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DeviceConcurrency {
    /// Number of sessions that run in parallel.
    sessions: usize,
    /// Maximum batch size.
    max_batch: usize,
    /// Which threads decode.
    decoding: Decoding,
}

impl Concurrency {
    fn on(&self, device: Device) -> DeviceConcurrency {
        match device {
            Device::Cpu => self.on_cpu,
            Device::Cuda(_) => self.on_gpu,
        }
    }

    /// Which threads decode for a model on `device`.
    #[must_use]
    pub fn decoding(&self, device: Device) -> Decoding {
        self.on(device).decoding
    }

    /// Number of sessions that run in parallel on `device`.
    #[must_use]
    pub fn sessions(&self, device: Device) -> usize {
        self.on(device).sessions
    }

    /// Maximum batch size on `device`.
    #[must_use]
    pub fn max_batch(&self, device: Device) -> usize {
        self.on(device).max_batch
    }

    /// How batches are formed on `device`.
    ///
    /// A GPU runs a batch in little more time than one image, so a batch has all queued images there; the
    /// same applies if `max_wait` is set. A CPU core takes nearly as long for each image of a batch as for a
    /// single one, so a batch has one image for each `2 × sessions` images that are queued.
    #[must_use]
    pub fn batch(&self, device: Device, max_wait: Duration) -> BatchPlan {
        let DeviceConcurrency { sessions, max_batch, .. } = self.on(device);
        let backlog = match device {
            Device::Cpu if max_wait.is_zero() => 2 * sessions,
            Device::Cpu | Device::Cuda(_) => 1,
        };
        BatchPlan { max_batch, max_wait, backlog }
    }
}
