//! `resnetd serve`: starts the server, reports that it is ready, and shuts it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loader::Loader;
use super::output;
use crate::config::{Config, ServeArgs, cores};
use crate::fetch::Fetcher;
use crate::http::{self, Listener, Readiness, Server, Shared};
use crate::pipeline::idle::trim_when_idle;
use crate::pipeline::queue::Memory;
use crate::pipeline::run::{Cores, trim_heap};
use crate::registry::{Description, Registry, Served, Version};
use crate::telemetry::Metrics;
use crate::telemetry::logs::{self, DroppedLines};

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
    let server = tokio::select! {
        server = start(args, &config, dropped) => server?,
        () = wish.heard() => return Ok(()),
    };
    let listening = listener.listen().with_context(taken)?;
    for model in server.registry.serving() {
        announce(&model, address);
    }
    tokio::spawn(trim_when_idle(Arc::clone(&server.memory)));

    let readiness = Arc::clone(&server.readiness);
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
    let routes = http::router(Arc::clone(&server));
    let abort = || server.registry.serving().iter().for_each(|model| model.pipeline.abort());
    let answered = listening.serve(routes, stop, config.drain, abort).await;
    // All requests are answered, so the workers are idle.
    for model in server.registry.serving() {
        model.pipeline.finish(LAST_RUN).await;
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
                    tracing::info!("SIGHUP is ignored, because there is nothing to reload; SIGTERM stops the server");
                }
            }
        }
    }
}

/// Loads the model and starts its workers, off the async threads.
async fn start(args: &ServeArgs, config: &Config, dropped: DroppedLines) -> Result<Arc<Server>> {
    let (args, config) = (args.model.clone(), config.clone());
    tokio::task::spawn_blocking(move || {
        let metrics = Arc::new(Metrics::new());
        let memory = Memory::new(config.memory_limit, Arc::clone(&metrics));
        let loader = Loader {
            cores: Cores::new(cores()),
            memory: Arc::clone(&memory),
            metrics: Arc::clone(&metrics),
            config: config.clone(),
        };
        let served = loader.load(&args, &Version::only())?;
        trim_heap();
        Ok(Arc::new(Server {
            registry: Arc::new(Registry::of_one(served)),
            control: None,
            memory,
            metrics,
            readiness: Arc::new(Readiness::default()),
            shared: Arc::new(Shared::new(cores(), dropped)),
            timeouts: config.timeouts,
            page: config.page,
            urls: config.urls.map(|(policy, plan)| Arc::new(Fetcher::new(policy, plan))),
            vertex: config.vertex,
            hosts: config.hosts,
            max_bytes: config.limits.max_bytes,
        }))
    })
    .await?
}

fn announce(served: &Served, address: SocketAddr) {
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
    } = &served.description;
    let versions = &served.description.versions;
    let precision = card.precision.to_string();
    let model = &card.name;
    let digest = &digests.graph;
    tracing::info!(%address, model, digest, precision, device, sessions, threads, max_batch, "ready");
    let banner = format!(
        "resnetd {} is ready on http://{address}\n  \
         model   {} ({}, {} classes), {precision}: {precision_because}\n  \
         digest  {digest}\n  \
         device  {device} ({device_because}), {sessions} sessions × {threads} threads, ONNX Runtime {}\n  \
         try     curl --data-binary @photo.jpg http://{address}/classify",
        versions.resnetd,
        card.name,
        card.architecture,
        card.labels.len(),
        versions.onnxruntime,
    );
    // On a thread of its own, because nobody may be reading standard output.
    std::thread::spawn(move || output::line(banner));
}
