//! Advice for operators about each metric, for `docs/metrics.md`.

/// What a rising value means and what to do, by the metric's name without its prefix.
const ADVICE: &[(&str, &str)] = &[
    (
        "http_requests_total",
        "Traffic. Compare statuses: 5xx is the server's fault, 4xx the clients'; 499 means that clients do not wait",
    ),
    (
        "http_request_duration_seconds",
        "Select `status=\"2xx\"`: rejections are faster than answers. Compare with the stages below",
    ),
    (
        "client_requests_total",
        "Traffic of each API key; a client with many 429 exceeds its limits (requests without a valid key are 401 in http_requests_total)",
    ),
    (
        "rejected_total",
        "`queue-full`, `memory-limit`, `deadline`: add servers, or see docs/overload.md. `client-limit`: one client exceeds its limit",
    ),
    (
        "http_requests_in_flight",
        "Requests accumulate: the server is slower than its clients, or uploads are slow",
    ),
    ("images_total", "Throughput; nothing to do"),
    (
        "abandoned_total",
        "Clients give up: their timeout is shorter than the queue. Lower `--request-timeout`, or add servers",
    ),
    (
        "failed_batches_total",
        "Inference fails: the log has the cause (`batch failed`). After three in a row `/readyz` answers 503",
    ),
    (
        "decoder_panics_total",
        "A defect of a decoder: report it with the image. Clients get `corrupt-image`",
    ),
    ("not_finite_total", "The model returns NaN or infinity: check its precision, or the images"),
    (
        "stuck_workers",
        "A run takes longer than `--stuck-after`: the machine is overcommitted, or the device hangs",
    ),
    (
        "worker_replacements_total",
        "Workers were stuck. Repeated replacements: check the device and the log",
    ),
    ("queue_depth", "Images arrive faster than they are run: add servers if it stays high"),
    ("images_in_flight", "As `queue_depth`; at `images_in_flight_limit` images are rejected"),
    (
        "images_in_flight_limit",
        "Constant. `images_in_flight / images_in_flight_limit` near 1 precedes `queue-full`",
    ),
    (
        "predicted_wait_seconds",
        "Use it for autoscaling: add servers before it reaches the clients' time limit",
    ),
    (
        "admitted_bytes",
        "Near the limit: large images or slow clients. Raise `--memory-limit`, or lower `--max-pixels`",
    ),
    ("admission_limit_bytes", "Constant"),
    ("fetch_seconds", "Hosts of images by URL are slow: check them, or lower `--url-timeout`"),
    ("decode_wait_seconds", "Decoders are busy: raise `--decoders`"),
    ("decode_seconds", "Images have become larger, or the machine is busy; see docs/images.md"),
    ("preprocess_seconds", "As `decode_seconds`"),
    (
        "queue_wait_seconds",
        "All workers are busy: add servers, or a faster model (docs/precision.md)",
    ),
    (
        "inference_seconds",
        "The machine is busy or throttled, or batches have become larger (`batch_size`)",
    ),
    ("batch_size", "Larger batches mean more load; nothing to do"),
    (
        "tls_handshake_failures_total",
        "Clients without a valid certificate, scanners, or an expired certificate; the log has each at DEBUG",
    ),
    (
        "connections_rejected_total",
        "`--max-connections` is reached: raise it, add servers, or limit each client in a reverse proxy",
    ),
    (
        "connections_evicted_total",
        "Many clients keep idle connections: raise `--max-connections`, or lower `--header-timeout`",
    ),
    ("log_lines_dropped_total", "Standard error is read too slowly: check the log collector"),
    ("ready", "When it falls to 0: `/readyz` has the cause"),
    (
        "model_load_seconds",
        "Changes only when the model is loaded again. If it is larger then, the disk or the machine is busy",
    ),
    (
        "warm_up_seconds",
        "Changes only when the model is loaded again. If it is larger then, the machine is busy",
    ),
    ("model_info", "Constant"),
    (
        "model_loads_total",
        "`failed`: a version could not be loaded; the old one continues to serve, and a model without one answers 503. `reason` has the class (docs/alerts.md lists them); `/v1/models` and the log have the message",
    ),
    (
        "model_unloads_total",
        "`memory-limit`: on-demand models displace each other; raise `--model-memory-limit`. `requested`: over the admin address. `removed`: its files or its table are gone. `superseded`: a higher version took its place",
    ),
    (
        "model_not_ready_total",
        "Clients use a model that was unloaded, failed to load or is being loaded: `/v1/models` has the reason",
    ),
];

/// The advice for the metric `name`, without its prefix.
pub(super) fn advice(name: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(known, _)| *known == name).map(|(_, advice)| *advice)
}
