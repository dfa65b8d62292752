//! `resnetd serve`: wires everything, says that it is ready, waits for the end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::output;
use crate::config::{Config, ServeArgs, cores};
use crate::http::{self, App, Description, Listener, Readiness};
use crate::model::Model;
use crate::pipeline::Pipeline;
use crate::pipeline::run::{InputShape, Library, SessionsPlan, WarmSessions, open_sessions};
use crate::telemetry::metrics::Served;
use crate::telemetry::{Metrics, logs};

pub(super) fn run(args: &ServeArgs) -> Result<()> {
    logs::start(&args.log, args.log_format)?;
    let config = Config::resolve(args, cores())?;
    tracing::debug!(?config, "configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(args, config));
    // A run that is stuck, or a model that still loads, does not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: &ServeArgs, config: Config) -> Result<()> {
    // The port first: whether it is free is known at once, a large model takes a second.
    let listener =
        Listener::bind(config.listen, config.timeouts.header).await.with_context(|| {
            format!("cannot listen on {}; choose another with --listen", config.listen)
        })?;
    let address = listener.address()?;
    // Signals from here on are a wish to stop, also while the model loads.
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let app = tokio::select! {
        app = start(args, &config) => app?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce(&app, address);

    let readiness = Arc::clone(&app.readiness);
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        readiness.drain();
        tracing::info!("told to stop: readiness is off, finishing what is here; once more quits");
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
            tracing::warn!("told to stop twice: quitting now");
            std::process::exit(1);
        });
    };
    let routes = http::router(app.clone());
    let answered = listener.serve(routes, stop, config.drain).await;
    let ran = app.pipeline.finish(config.drain.timeout).await;
    if !(answered && ran) {
        bail!("requests were still open after --drain-timeout {:?}", config.drain.timeout);
    }
    tracing::info!("every request is answered: goodbye");
    Ok(())
}

/// Loads the model and starts its workers, off the async threads.
async fn start(args: &ServeArgs, config: &Config) -> Result<App> {
    let (args, config) = (args.model.clone(), config.clone());
    tokio::task::spawn_blocking(move || {
        let model = Model::open(&args.model)?;
        let library = Library::load(args.onnxruntime.as_deref())?;
        let plan = SessionsPlan {
            device: args.device,
            sessions: config.concurrency.sessions,
            threads: config.concurrency.threads,
            max_batch: config.concurrency.max_batch,
            input: InputShape::of(&model.card.preprocess),
        };
        let warm = open_sessions(&library, &model.onnx, plan)?;
        assemble(model, &library, warm, &config)
    })
    .await?
}

fn assemble(model: Model, library: &Library, warm: WarmSessions, config: &Config) -> Result<App> {
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
    let description = Description {
        card: model.card.as_ref().clone(),
        device: device.to_string(),
        sessions: config.concurrency.sessions,
        threads: config.concurrency.threads,
        max_batch: config.concurrency.max_batch,
        versions: http::Versions::with(&library.version),
    };
    let pipeline = Pipeline::start(model.card, config.pipeline, engines, Arc::clone(&metrics))?;
    Ok(App {
        pipeline: Arc::new(pipeline),
        metrics,
        readiness: Arc::new(Readiness::default()),
        description: Arc::new(description),
        timeouts: config.timeouts,
    })
}

fn announce(app: &App, address: SocketAddr) {
    let Description { card, device, sessions, threads, max_batch, versions } = &*app.description;
    tracing::info!(%address, model = card.name, device, sessions, threads, max_batch, "ready");
    output::line(format!(
        "resnetd {} is ready on http://{address}\n  \
         model   {} ({}, {} classes)\n  \
         device  {device}, {sessions} sessions × {threads} threads, ONNX Runtime {}\n  \
         try     curl --data-binary @photo.jpg http://{address}/classify",
        versions.resnetd,
        card.name,
        card.architecture,
        card.labels.len(),
        versions.onnxruntime,
    ));
}
