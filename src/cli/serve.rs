//! `resnetd serve`: starts the server, reports that it is ready, and shuts it down.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::load::{self, Loaded, load_meanwhile};
use super::output;
use crate::config::{Concurrency, Config, ModelArgs, ServeArgs, cores};
use crate::fetch::Fetcher;
use crate::http::{self, Access, App, Description, Listener, Readiness, Shared};
use crate::model::{Digests, Model, is_embedded};
use crate::pipeline::explain::Offers;
use crate::pipeline::idle::trim_when_idle;
use crate::pipeline::run::{Engines, SpareEngine, WarmSessions, trim_heap};
use crate::pipeline::{Decoding, Pipeline};
use crate::telemetry::logs::{self, DroppedLines};
use crate::telemetry::metrics::Served;
use crate::telemetry::{Metrics, Traces};

/// How long to wait at the end for a run whose callers have all disconnected.
const LAST_RUN: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ServeArgs) -> Result<()> {
    let log = logs::start_for_server(&args.log, args.log_format)?;
    let config = Config::resolve(args, cores())?;
    tracing::debug!(?config, "configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(args, config, log.dropped()));
    // Does not wait for a stuck run or a model that is still loading.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: &ServeArgs, config: Config, dropped: DroppedLines) -> Result<()> {
    // Bind the port before loading the model, so that a port in use is reported at once.
    let taken = || format!("cannot listen on {}; choose another with --listen", config.listen);
    let listener = Listener::bind(config.listen, config.connections).with_context(taken)?;
    let address = listener.address()?;
    // From here on signals shut the server down, also while the model loads.
    let mut wish = WishToStop::new()?;
    let mut app = tokio::select! {
        app = start(args, &config, dropped) => app?,
        () = wish.heard() => return Ok(()),
    };
    app.traces = config.traces.as_ref().map(Traces::start).transpose()?.map(Arc::new);
    let mut server = listener.listen().with_context(taken)?;
    if let Some(certificates) = &config.tls {
        server = server.over_tls(Arc::clone(certificates), Arc::clone(&app.metrics));
        tokio::spawn(Arc::clone(certificates).keep_current());
    }
    announce(&app, &url(&config, address));
    tokio::spawn(trim_when_idle(Arc::clone(&app.pipeline)));
    let access = Arc::clone(&app.access);
    tokio::spawn(async move { access.keep_current().await });

    let readiness = Arc::clone(&app.readiness);
    let stop = async move {
        wish.heard().await;
        readiness.drain();
        tracing::info!(
            "shutting down: draining requests in flight (a second signal exits immediately)"
        );
        tokio::spawn(async move {
            wish.heard().await;
            tracing::warn!("second signal: exiting immediately");
            std::process::exit(1);
        });
    };
    let routes = http::router(app.clone());
    let answered = server.serve(routes, stop, config.drain, || app.pipeline.abort()).await;
    // All requests are answered, so the workers are idle.
    app.pipeline.finish(LAST_RUN).await;
    if let Some(traces) = app.traces.clone() {
        let _ = tokio::task::spawn_blocking(move || traces.finish()).await;
    }
    if !answered {
        bail!("requests were still open after --drain-timeout {:?}", config.drain.timeout);
    }
    tracing::info!("shutdown complete: all requests were answered");
    Ok(())
}

/// SIGTERM, or SIGINT from a keyboard. SIGHUP, which a terminal sends when it is closed, is only logged.
struct WishToStop {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl WishToStop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal that stops the server.
    async fn heard(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP is ignored: files of keys and certificates are read again when they change; SIGTERM stops the server");
                }
            }
        }
    }
}

/// Loads the model and starts its workers, off the async threads.
async fn start(args: &ServeArgs, config: &Config, dropped: DroppedLines) -> Result<App> {
    let (args, config) = (args.model.clone(), config.clone());
    tokio::task::spawn_blocking(move || {
        // Loading mostly uses one core, so another computes the digests meanwhile.
        let (loaded, digests) = load_meanwhile(&args, config.concurrency, Model::digests)?;
        let spare = spare(args, config.concurrency, &loaded);
        let app = assemble(loaded, digests, &config, (spare, dropped))?;
        trim_heap();
        Ok(app)
    })
    .await?
}

/// Loads the model again when a stuck worker has to be replaced. That is rare, and a second copy
/// would cost its memory all the time.
fn spare(args: ModelArgs, concurrency: Concurrency, loaded: &Loaded) -> SpareEngine {
    let (library, device) = (loaded.library.clone(), loaded.warm.device);
    Box::new(move || {
        load::one_engine(&args, concurrency, device, &library).map_err(|error| format!("{error:#}"))
    })
}

fn assemble(
    loaded: Loaded,
    digests: Digests,
    config: &Config,
    (spare, dropped): (SpareEngine, DroppedLines),
) -> Result<App> {
    let Loaded { model, why, device_why, library, warm } = loaded;
    let WarmSessions { engines, device, load, warm_up } = warm;
    let metrics = Arc::new(Metrics::new());
    metrics.load_seconds.set(load.as_secs_f64());
    metrics.warm_up_seconds.set(warm_up.as_secs_f64());
    metrics.served(Served {
        model: &model.card.name,
        architecture: &model.card.architecture,
        device: &device.to_string(),
        onnxruntime: &library.version,
    });
    let (card, golden_photos) = Description::of(&model);
    let description = Description {
        demonstration: is_embedded(&card.name),
        card,
        golden_photos,
        digests,
        device: device.to_string(),
        device_because: device_why,
        precision_because: why,
        sessions: config.concurrency.sessions(device),
        threads: config.concurrency.threads,
        max_batch: config.concurrency.max_batch(device),
        decoders: match config.concurrency.decoding(device) {
            Decoding::ByWorkers => 0,
            Decoding::Beside(decoders) => decoders,
        },
        jpeg_scaling: config.jpeg_scaling,
        versions: http::Versions::with(&library.version),
    };
    let offers = Offers::of(model.onnx, model.card.labels.len());
    let shared = Shared::new(&model.card.labels, cores(), dropped);
    let plan = config.pipeline(device);
    let engines = Engines { ready: engines, spare: Some(spare) };
    let pipeline = Pipeline::start(model.card, plan, engines, Arc::clone(&metrics))?;
    Ok(App {
        pipeline: Arc::new(pipeline.offering(offers)),
        metrics,
        readiness: Arc::new(Readiness::default()),
        shared: Arc::new(shared),
        description: Arc::new(description),
        timeouts: config.timeouts,
        page: config.page,
        urls: config.urls.clone().map(|(policy, plan)| Arc::new(Fetcher::new(policy, plan))),
        vertex: config.vertex.clone(),
        hosts: config.hosts.clone(),
        access: Arc::new(Access::new(config.access.clone())),
        traces: None,
    })
}

/// The server's URL, for people and programs.
fn url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn announce(app: &App, url: &str) {
    let Description {
        card,
        digests,
        device,
        device_because,
        precision_because,
        sessions,
        threads,
        max_batch,
        ..
    } = &*app.description;
    let versions = &app.description.versions;
    let precision = card.precision.to_string();
    let model = &card.name;
    let digest = &digests.graph;
    tracing::info!(url, model, digest, precision, device, sessions, threads, max_batch, "ready");
    let words = if io::stdout().is_terminal() {
        format!(
            "resnetd {} is ready on {url}\n  \
             model   {} ({}, {} classes), {precision}: {precision_because}\n  \
             digest  {digest}\n  \
             device  {device} ({device_because}), {sessions} sessions × {threads} threads, ONNX Runtime {}\n  \
             try     curl --data-binary @photo.jpg {url}/classify",
            versions.resnetd,
            card.name,
            card.architecture,
            card.labels.len(),
            versions.onnxruntime,
        )
    } else {
        serde_json::json!({ "ready": true, "url": url, "model": model, "digest": digest })
            .to_string()
    };
    // On a thread of its own, because nobody may be reading standard output.
    std::thread::spawn(move || output::line(words));
}
