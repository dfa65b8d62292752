//! Tests through the front door: a real server on a port of its own, real pictures, real clients.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

mod classify; // what is answered for a good request
mod explain; // where in the picture a score comes from
mod features; // embeddings, what was seen, candidates
mod calibration; // probabilities that mean what they say, sets that hold the truth
mod rollup; // what classes have in common
mod page; // for people
mod openapi; // for programs
mod protocol_v2; // as KServe and Triton are spoken to
mod problems; // and for a bad one
mod urls; // images that are named by URL
mod shapes; // what clients of other servers send
mod overload; // full, late and abandoned
mod clients; // what they may do to a connection
mod floods; // many connections, requests and headers
mod drain; // the end
mod operate; // health, metrics, model
mod batches; // the same bits in every batch
mod bring; // models that others made
mod hub; // models that others have put up
mod parity; // the same logits as PyTorch
mod precision; // int8 and fp16
mod cli; // the commands
mod bench; // load, and what is measured of it
mod tune; // the fastest way to serve here
mod mutations; // a thousand damaged pictures
mod house; // the invariants of ARCHITECTURE.md
