//! Describes the content of a folder without a model, for the error message.

use std::fs;
use std::path::Path;

/// Maximum number of names in the message.
const MAX_NAMES: usize = 8;

/// Names of files and folders in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderContent {
    /// The first few, in alphabetical order.
    names: Vec<String>,
    /// Number of other names.
    more: usize,
}

impl FolderContent {
    /// Lists `folder`; empty if it cannot be listed.
    pub(super) fn of(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let more = names.len().saturating_sub(MAX_NAMES);
        names.truncate(MAX_NAMES);
        Self { names, more }
    }

    /// The names as text, with a hint about what to do with them.
    pub(super) fn describe(&self, folder: &Path) -> String {
        let Self { names, more } = self;
        if names.is_empty() {
            return "; it is empty".to_owned();
        }
        let and_more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        let there = format!("; it contains {}{and_more}", names.join(", "));
        let ends = |name: &&String, endings: &[&str]| {
            let ending = Path::new(name).extension().and_then(|it| it.to_str()).unwrap_or_default();
            endings.contains(&ending)
        };
        let hint = if names.iter().any(|name| name == "saved_model.pb") {
            "\nhint: this is a TensorFlow model; export it to ONNX: python -m tf2onnx.convert --saved-model \
             FOLDER --output model.onnx"
                .to_owned()
        } else if let Some(file) = names
            .iter()
            .find(|name| ends(name, &["onnx", "safetensors", "pth", "pt", "bin", "ckpt"]))
        {
            format!("\nhint: name the file: --model {}", folder.join(file).display())
        } else {
            String::new()
        };
        there + &hint
    }
}
