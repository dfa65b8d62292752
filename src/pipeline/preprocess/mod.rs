//! pipeline/preprocess.
