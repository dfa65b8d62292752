//! `resnetd serve`: starts the server and shuts it down.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loader::Loader;
use super::{announce, models};
use crate::config::{Config, ModelControl, ServeArgs, cores};
use crate::fetch::Fetcher;
use crate::http::{self, Access, ListenPlan, Listener, Server, ServerPhase, Shared};
use crate::pipeline::idle::trim_when_idle;
use crate::pipeline::queue::Memory;
use crate::pipeline::run::{Cores, Library, trim_heap};
use crate::registry::{Control, Registry};
use crate::telemetry::logs::{self, DroppedLines};
use crate::telemetry::{Metrics, Traces};

/// How long to wait at the end for a run whose callers have all disconnected.
const LAST_RUN: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ServeArgs) -> Result<()> {
    let log = logs::start_for_server(&args.log, args.log_format)?;
    let config = Config::resolve(args)?;
    tracing::debug!(?config, "configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(args, config, log.dropped()));
    // Does not wait for a stuck run or a model that is still loading.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: &ServeArgs, config: Config, dropped: DroppedLines) -> Result<()> {
    // Ports are bound before models are loaded, so that a port in use is reported at once.
    let (listener, address) = bind(config.listen, config.connections, "--listen")?;
    let admin = config.admin_listen.map(|admin| bind(admin, config.connections, "--admin-listen"));
    let admin = admin.transpose()?;
    // From here on, signals shut the server down, even while models load.
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        server = start(args, &config, dropped) => server?,
        () = signals.received(None) => return Ok(()),
    };
    let listening = listener.listen(Arc::clone(&server.metrics));
    let mut listening = listening.with_context(|| cannot_listen(address, "--listen"))?;
    if let Some(certificates) = &config.tls {
        listening = listening.over_tls(Arc::clone(certificates));
        tokio::spawn(Arc::clone(certificates).keep_current());
    }
    // Who waits for the ready line may use both addresses.
    if let Some((admin, address)) = admin {
        serve_admin(&server, &config, admin)
            .with_context(|| cannot_listen(address, "--admin-listen"))?;
    }
    announce::ready(&server, &url(&config, address));
    tokio::spawn(trim_when_idle(Arc::clone(&server.memory)));
    if args.models.model_control == ModelControl::Poll {
        tokio::spawn(poll(Arc::clone(&server), args.models.repository_poll));
    }
    let access = Arc::clone(&server.access);
    tokio::spawn(async move { access.keep_current().await });

    let phase = Arc::clone(&server.phase);
    let control = server.control.clone();
    let stop = async move {
        signals.received(control.as_ref()).await;
        phase.drain();
        tracing::info!(
            "shutting down: draining requests in flight (a second signal exits immediately)"
        );
        tokio::spawn(async move {
            signals.received(None).await;
            tracing::warn!("second signal: exiting immediately");
            std::process::exit(1);
        });
    };
    let routes = http::router(Arc::clone(&server));
    let abort = || server.registry.serving().iter().for_each(|model| model.pipeline.abort());
    let answered = listening.serve(routes, stop, config.drain, abort).await;
    if !answered {
        server.phase.cut_off();
    }
    server.shared.report_rejections();
    for model in server.registry.serving() {
        model.pipeline.finish(LAST_RUN).await;
    }
    if let Some(traces) = server.traces.clone() {
        let _ = tokio::task::spawn_blocking(move || traces.finish()).await;
    }
    if !answered {
        bail!("requests were still open after --drain-timeout {:?}", config.drain.timeout);
    }
    tracing::info!("shutdown complete: all requests were answered");
    Ok(())
}

/// Serves the admin address until the server stops. On a loopback address it needs no TLS.
fn serve_admin(server: &Arc<Server>, config: &Config, admin: Listener) -> io::Result<()> {
    let address = admin.address()?;
    let mut listening = admin.listen(Arc::clone(&server.metrics))?;
    if let Some(certificates) = &config.tls
        && !address.ip().is_loopback()
    {
        listening = listening.over_tls(Arc::clone(certificates));
    }
    tracing::info!(%address, "the admin address is ready");
    let (routes, phase) = (http::admin_router(server), Arc::clone(&server.phase));
    let stop = async move { phase.drained().await };
    tokio::spawn(listening.serve(routes, stop, config.drain, || {}));
    Ok(())
}

/// The server's URL.
fn url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn bind(address: SocketAddr, plan: ListenPlan, option: &str) -> Result<(Listener, SocketAddr)> {
    let listener = Listener::bind(address, plan).with_context(|| cannot_listen(address, option))?;
    let address = listener.address()?;
    Ok((listener, address))
}

fn cannot_listen(address: SocketAddr, option: &str) -> String {
    format!("cannot listen on {address}; choose another address with {option}")
}

/// Polls the models' files, the configuration file and the model repository for changes; never ends.
async fn poll(server: Arc<Server>, every: Duration) {
    let Some(control) = &server.control else { return };
    loop {
        tokio::time::sleep(every).await;
        refresh(control).await;
    }
}

/// Loads new, reloads changed and unloads removed models.
async fn refresh(control: &Arc<Control>) {
    let control = Arc::clone(control);
    let refreshed = tokio::task::spawn_blocking(move || control.refresh()).await;
    match refreshed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the models were not refreshed"),
        Err(error) => tracing::error!(%error, "refreshing the models failed"),
    }
}

/// SIGTERM and SIGINT stop the server. SIGHUP loads models that have changed: those of --model, of the `[[model]]`
/// tables and of the repository.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that stops the server.
    async fn received(&mut self, control: Option<&Arc<Control>>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => refresh_at_hangup(control),
            }
        }
    }
}

fn refresh_at_hangup(control: Option<&Arc<Control>>) {
    if let Some(control) = control.cloned() {
        tracing::info!("SIGHUP: reading the models again");
        tokio::spawn(async move { refresh(&control).await });
    } else {
        tracing::info!("SIGHUP is ignored while the server starts or stops");
    }
}

/// Loads the models and starts their workers, on a blocking thread.
async fn start(args: &ServeArgs, config: &Config, dropped: DroppedLines) -> Result<Arc<Server>> {
    let (args, config) = (args.clone(), config.clone());
    let traces = config.traces.as_ref().map(Traces::start).transpose()?.map(Arc::new);
    tokio::task::spawn_blocking(move || {
        let metrics = Arc::new(Metrics::new());
        let memory = Memory::new(config.memory_limit, Arc::clone(&metrics));
        let loader = Arc::new(Loader {
            library: Library::load(args.model.onnxruntime.as_deref())?,
            cores: Cores::new(cores()),
            memory: Arc::clone(&memory),
            metrics: Arc::clone(&metrics),
            known_paths: Mutex::default(),
            config: config.clone(),
        });
        let registry = Arc::new(Registry::default());
        let control = models::load(&args, &loader, &registry)?;
        trim_heap();
        Ok(Arc::new(Server {
            registry,
            control: Some(Arc::new(control)),
            memory,
            metrics,
            phase: Arc::new(ServerPhase::default()),
            shared: Arc::new(Shared::new(cores(), dropped)),
            timeouts: config.timeouts,
            page: config.page,
            urls: config.urls.map(|(policy, plan)| Arc::new(Fetcher::new(policy, plan))),
            vertex: config.vertex,
            hosts: config.hosts,
            access: Arc::new(Access::new(config.access)),
            traces,
            max_bytes: config.limits.max_bytes,
        }))
    })
    .await?
}
