//! Checks of the options of `serve`. Messages have the valid values.

use std::time::Duration;

use super::{ModelControl, ModelsArgs, ServeArgs};
use crate::pipeline::decode::Limits;

/// Upper bound of most time limits.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Adds a message for each invalid option to `wrong`.
pub(super) fn check(args: &ServeArgs, limits: Limits, wrong: &mut Vec<String>) {
    check_times(args, wrong);
    check_models(&args.models, wrong);
    check_counts(args, wrong);
    check_memory(args, limits, wrong);
}

/// Checks that the limits allow a batch of `--max-batch`, if that is set, and the largest upload.
fn check_memory(args: &ServeArgs, limits: Limits, wrong: &mut Vec<String>) {
    let capacity = args.queue_capacity;
    if let Some(max_batch) = args.model.max_batch.filter(|&most| capacity < most) {
        wrong.push(format!(
            "--queue-capacity {capacity} is less than --max-batch {max_batch}; raise it, so that a batch can be full"
        ));
    }
    if args.memory_limit.as_u64() < limits.largest_cost() {
        wrong.push(format!(
            "--memory-limit {} MiB cannot hold one upload of --max-bytes and --max-pixels, which \
             takes up to {} MiB; raise the first or lower the others",
            args.memory_limit.as_u64() >> 20,
            limits.largest_cost().div_ceil(1 << 20)
        ));
    }
}

/// Checks the options about several models.
fn check_models(args: &ModelsArgs, wrong: &mut Vec<String>) {
    if args.repository_versions == 0 {
        wrong.push("--repository-versions is 0; it must be at least 1".to_owned());
    }
    if !args.load_models.is_empty() && args.model_control != ModelControl::Explicit {
        wrong.push("--load-model needs --model-control explicit".to_owned());
    }
}

/// Checks that at least one image and one connection are allowed.
fn check_counts(args: &ServeArgs, wrong: &mut Vec<String>) {
    if args.queue_capacity == 0 {
        wrong.push(
            "--queue-capacity is 0; every image would be rejected; use at least 1".to_owned(),
        );
    }
    if args.max_connections == 0 {
        wrong.push("--max-connections is 0; no client could connect; use at least 1".to_owned());
    }
}

/// Checks that these times are more than zero and at most a day.
fn check_times(args: &ServeArgs, wrong: &mut Vec<String>) {
    for (option, duration) in [
        ("--request-timeout", args.request_timeout),
        ("--header-timeout", args.header_timeout),
        ("--body-timeout", args.body_timeout),
        ("--write-timeout", args.write_timeout),
        ("--stuck-after", args.stuck_after),
        ("--repository-poll", args.models.repository_poll),
    ] {
        if duration.is_zero() {
            wrong.push(format!("{option} is 0; use a duration such as 10s"));
        }
        if duration > A_DAY {
            wrong.push(format!("{option} is more than a day; use at most 24h"));
        }
    }
    if args.max_wait >= args.request_timeout {
        wrong.push(
            "--max-wait is not less than --request-timeout; reduce it, so that batches are run in time".to_owned(),
        );
    }
}
