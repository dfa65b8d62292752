//! Describes the content of a folder without a model, for the error message.

use std::fs;
use std::path::Path;

/// More names than this do not help.
const NAMED: usize = 8;

/// Names of files and folders in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderContent {
    /// The first few, in alphabetical order.
    names: Vec<String>,
    /// How many more there are.
    more: usize,
}

impl FolderContent {
    /// What lies in `folder`; nothing where it cannot be listed.
    pub(super) fn of(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        Self { names, more }
    }

    /// What is there, and what to do with it.
    pub(super) fn in_words(&self, folder: &Path) -> String {
        let Self { names, more } = self;
        if names.is_empty() {
            return "; it is empty".to_owned();
        }
        let and_more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        let there = format!("; there are {}{and_more}", names.join(", "));
        let ends = |name: &&String, endings: &[&str]| {
            let ending = Path::new(name).extension().and_then(|it| it.to_str()).unwrap_or_default();
            endings.contains(&ending)
        };
        let hint = if names.iter().any(|name| name == "saved_model.pb") {
            "\nhint: it is a model of TensorFlow; export it to ONNX: python -m tf2onnx.convert --saved-model \
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
