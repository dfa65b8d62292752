//! `resnetd plan`: how many replicas a load needs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use super::output;
use crate::bench::replicas::{self, Demand, MAX_UTILIZATION, Replica, ReplicaQueue};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Images per second of all clients together, at the busiest time
    #[arg(long, value_name = "PER_SECOND")]
    load: f64,

    /// Latency that most requests must not exceed
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    latency: Duration,

    /// Percentage of requests that must not exceed it
    #[arg(long, default_value_t = 99.0, value_name = "PERCENT")]
    percentile: f64,

    /// Sessions of one replica that run in parallel (`sessions` in GET /v1/model)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    sessions: u32,

    /// Images per second that one replica answers while all sessions are busy, as measured by `resnetd bench`
    #[arg(
        long,
        value_name = "PER_SECOND",
        required_unless_present = "service_time",
        conflicts_with = "service_time"
    )]
    throughput: Option<f64>,

    /// Time of one image in a session, instead of --throughput
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    service_time: Option<Duration>,

    /// The fewest replicas to plan with, such as those that run now
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    min_replicas: u32,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct PlanReport {
    replicas: u32,
    demand: Demand,
    replica: Replica,
    /// With the required number of replicas, and with one more, so that one may fail.
    predicted: [PredictedLatency; 2],
}

/// The prediction for a number of replicas.
#[derive(Debug, Serialize)]
struct PredictedLatency {
    replicas: u32,
    utilization: f64,
    mean_ms: f64,
    p50_ms: f64,
    /// Latency at the required percentile.
    target_ms: f64,
}

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    let (demand, replica) = (args.demand()?, args.replica()?);
    let enough = replicas::needed(replica, demand).with_context(|| {
        let service = replica.service * 1e3;
        format!(
            "no number of replicas meets {:?}: one image takes {service:.1} ms in a session; allow more time, or use a \
             faster model",
            args.latency
        )
    })?;
    let count = enough.max(args.min_replicas);
    let predicted = [
        PredictedLatency::with(count, replica, demand)?,
        PredictedLatency::with(count + 1, replica, demand)?,
    ];
    let report = PlanReport { replicas: count, demand, replica, predicted };
    if args.json {
        return output::json(&report);
    }
    show(&report, args.percentile);
    Ok(())
}

impl PredictedLatency {
    /// With `replicas`, which are enough for the demand.
    fn with(replicas: u32, replica: Replica, demand: Demand) -> Result<Self> {
        let queue = ReplicaQueue::of(replica, demand.load / f64::from(replicas))
            .context("more replicas are busier, which cannot be")?;
        Ok(Self {
            replicas,
            utilization: queue.utilization(),
            mean_ms: queue.mean() * 1e3,
            p50_ms: queue.quantile(0.5) * 1e3,
            target_ms: queue.quantile(demand.share) * 1e3,
        })
    }
}

impl PlanArgs {
    fn demand(&self) -> Result<Demand> {
        let Self { load, percentile, .. } = *self;
        ensure!(load.is_finite() && load > 0.0, "--load is {load}; it must be more than 0");
        ensure!(
            (1.0..100.0).contains(&percentile),
            "--percentile is {percentile}; it must be at least 1 and less than 100"
        );
        Ok(Demand { load, latency: self.latency.as_secs_f64(), share: percentile / 100.0 })
    }

    fn replica(&self) -> Result<Replica> {
        let service = match (self.throughput, self.service_time) {
            (Some(throughput), _) => f64::from(self.sessions) / throughput,
            (None, time) => time.unwrap_or_default().as_secs_f64(),
        };
        ensure!(
            service.is_finite() && service > 0.0,
            "--throughput or --service-time must be more than 0"
        );
        Ok(Replica { servers: self.sessions, service })
    }
}

fn show(report: &PlanReport, percentile: f64) {
    let PlanReport { replicas, demand, replica, predicted } = report;
    output::line(format!(
        "{replicas} replicas for {} images/s, of which {percentile} % take at most {:.1} ms",
        demand.load,
        demand.latency * 1e3
    ));
    output::line(format!(
        "M/D/c model: {} sessions each, {:.2} ms for an image, at most {:.0} % utilisation",
        replica.servers,
        replica.service * 1e3,
        MAX_UTILIZATION * 100.0
    ));
    let target = format!("p{percentile}");
    let mut table = output::table(&["replicas", "utilisation", "mean", "p50", &target]);
    for row in predicted {
        table.add_row([
            row.replicas.to_string(),
            format!("{:.0} %", row.utilization * 100.0),
            format!("{:.1} ms", row.mean_ms),
            format!("{:.1} ms", row.p50_ms),
            format!("{:.1} ms", row.target_ms),
        ]);
    }
    output::show(&table);
}
