//! Checks the invariants of ARCHITECTURE.md on the source text.

use std::fs;
use std::path::{Path, PathBuf};

/// All source files with their path below `src`, without tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .file_stem()
                .is_some_and(|stem| !stem.to_string_lossy().ends_with("tests"))
                && path.extension().is_none_or(|ending| ending != "jpg")
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                files.push((name, text));
            }
        }
    }
    assert!(files.len() > 40, "the sources are found");
    files
}

/// Checks that no line of code in the selected files has one of `words`.
fn assert_absent(words: &[&str], is_checked: impl Fn(&str) -> bool, why: &str) {
    let mut checked = 0;
    for (name, text) in sources().iter().filter(|(name, _)| is_checked(name)) {
        checked += 1;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in words {
                assert!(!has_word(line, word), "{why}: src/{name}:{}: {line}", number + 1);
            }
        }
    }
    assert!(checked > 0, "nothing was checked: {why}");
}

/// Whether `word` occurs in `line`, but not as a part of another name (`ort::` in `report::`).
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(place, _)| {
        !line[..place].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn graph_weights_and_onnx_are_independent_of_server_and_runtime() {
    let build =
        |name: &str| ["graph/", "weights/", "onnx/"].iter().any(|part| name.starts_with(part));
    assert_absent(
        &["tokio", "axum", "ort::"],
        build,
        "graph, weights and onnx use neither server nor runtime",
    );
    assert_absent(
        &["crate::pipeline", "crate::http", "crate::model", "crate::cli"],
        build,
        "graph, weights and onnx use no higher layer",
    );
}

#[test]
fn the_hub_is_independent_of_models() {
    assert_absent(
        &["tokio", "axum", "ort::", "crate::pipeline", "crate::graph", "crate::weights", "Model"],
        |name| name.starts_with("hub/"),
        "hub downloads files, whatever their content",
    );
}

#[test]
fn fetch_is_independent_of_images_and_of_the_server() {
    assert_absent(
        &["axum", "ort::", "crate::pipeline", "crate::http", "crate::model", "crate::config"],
        |name| name.starts_with("fetch/"),
        "fetch downloads bytes, whatever their content and use",
    );
}

#[test]
fn the_pipeline_is_independent_of_http_and_http_of_tensors() {
    let pipeline = |name: &str| name.starts_with("pipeline/");
    assert_absent(&["axum", "crate::http", "hyper"], pipeline, "pipeline does not use HTTP");
    let http = |name: &str| name.starts_with("http/");
    assert_absent(
        &["ort::", "crate::graph", "crate::onnx", "crate::weights", "pipeline::run"],
        http,
        "http does not use tensors",
    );
}

#[test]
fn the_registry_is_independent_of_requests_options_and_commands() {
    assert_absent(
        &["axum", "hyper", "ort::", "crate::http", "crate::cli", "crate::config", "crate::hub"],
        |name| name.starts_with("registry/"),
        "the registry uses neither HTTP nor options",
    );
    assert_absent(
        &["crate::registry"],
        |name| name.starts_with("pipeline/"),
        "a pipeline does not depend on other pipelines",
    );
}

#[test]
fn the_model_of_a_request_is_looked_up_in_one_place() {
    // These list models: answers, the scrape, and the device of the default model in `/readyz`.
    const LISTS: [&str; 7] = [
        "http/models.rs",
        "http/admin.rs",
        "http/metrics.rs",
        "http/health.rs",
        "http/protocol/v2/rest/metadata.rs",
        "http/protocol/v2/grpc/metadata.rs",
        "http/protocol/v2/grpc/service.rs",
    ];
    assert_absent(
        &["registry.list(", "registry.serving(", "registry.names(", "registry.find("],
        |name| name.starts_with("http/") && !LISTS.contains(&name),
        "handlers do not depend on the number of models",
    );
    assert_absent(
        &["registry.choose("],
        |name| name != "http/app.rs",
        "the model of a request is looked up in http/app.rs",
    );
}

#[test]
fn routes_are_added_with_their_documentation() {
    // Files of a page are not part of the API. Routes of protocols and routes with a model in the path are added with axum,
    // and their documents are listed or copied. The admin address has no document.
    let of_the_api = |name: &str| {
        name.starts_with("http/")
            && !name.starts_with("http/page/")
            && !name.starts_with("http/protocol/")
            && !matches!(name, "http/models.rs" | "http/admin.rs")
    };
    assert_absent(&["route(", "Router::new"], of_the_api, "routes are added with routes!");
}

#[test]
fn only_the_runner_names_the_runtime() {
    assert_absent(
        &["ort::"],
        |name| !name.starts_with("pipeline/run/"),
        "only pipeline/run uses ort",
    );
}

#[test]
fn one_place_for_statuses_and_one_for_the_environment() {
    let elsewhere = |name: &str| {
        !matches!(
            name,
            "http/problem/kind.rs" | "http/problem/mod.rs" | "http/answers.rs" | "http/record.rs"
        )
    };
    assert_absent(&["StatusCode::"], elsewhere, "statuses are in http/problem/");
    let environment = |name: &str| name != "pipeline/run/library.rs";
    assert_absent(&["env::var"], environment, "only clap and one other place read the environment");
}

#[test]
fn only_commands_print_and_nothing_is_a_mutable_static() {
    let printing = ["println!", "eprintln!", "print!("];
    assert_absent(
        &printing,
        |name| !name.starts_with("cli/") && name != "main.rs",
        "only cli prints",
    );
    assert_absent(
        &["static mut", "LazyLock", "OnceLock"],
        |_| true,
        "shared values are passed as arguments",
    );
}

#[test]
fn files_have_at_most_400_lines() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "src/{name} has {lines} lines; split it by subject");
    }
}
