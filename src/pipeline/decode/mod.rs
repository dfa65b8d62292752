//! pipeline/decode.
