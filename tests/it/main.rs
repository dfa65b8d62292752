//! Tests through the public interface: a server on a free port, real images and clients.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

mod classify; // POST /classify
mod explain; // class activation maps
mod features; // embeddings, preprocessing, candidates
mod calibration; // temperature scaling and prediction sets
mod rollup; // probabilities of wider classes
mod page; // the web page
mod openapi; // the OpenAPI document
mod protocol_v2; // the Open Inference Protocol
mod problems; // errors
mod urls; // images by URL
mod compatibility; // protocols of other servers
mod access; // API keys, and limits of clients
mod tls; // TLS
mod overload; // admission control, deadlines, disconnected clients
mod clients; // limits for connections
mod floods; // many connections, requests and headers
mod drain; // shutdown
mod models; // several models in one server, changed at run time
mod reloads; // new versions that cannot be loaded
mod canary; // trials of new versions
mod registry; // random sequences of loads, unloads and requests
mod operation; // health, metrics, model
mod batches; // bit-identical scores in every batch
mod foreign_models; // models of other programs
mod multilabel; // multi-label networks
mod hub; // models of the Hugging Face hub
mod starter; // the starter model of 1,000 classes
mod parity; // the same logits as PyTorch
mod precision; // int8 and fp16
mod cli; // the commands
mod cli_classify; // resnetd classify
mod cli_describe; // resnetd describe, completions and man
mod traces; // spans
mod load_reports;
mod fuzz_server; // the server of the fuzz targets
mod metrics; // docs/metrics.md
mod configuration; // docs/configuration.md
mod bench; // resnetd bench
mod tune; // resnetd tune
mod mutations; // a thousand damaged images
mod boundaries; // the invariants of ARCHITECTURE.md
mod structure; // dependencies between modules, and names of types
