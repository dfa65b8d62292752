//! `resnetd classify`, run as a child process.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{data, program, resnetd, stderr_of, stdout_of};

#[test]
fn classify_prints_a_line_of_json_for_each_image() {
    let files = ["tests/data/cat.jpg", "Cargo.toml", "tests/data/cifar10-ship.png"];
    let output = resnetd(&[&["classify", "--json", "-k", "2"], &files[..]].concat());
    assert!(stderr_of(&output).contains("1 of 3 images could not be classified"));
    let lines: Vec<Value> =
        stdout_of(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["file"].as_str().unwrap()).collect::<Vec<_>>(), files);
    assert_eq!(lines[0]["predictions"][0]["label"], "cat");
    assert_eq!(lines[0]["predictions"].as_array().unwrap().len(), 2);
    assert!(lines[1]["error"].as_str().unwrap().contains("not an image"), "{}", lines[1]);
    assert_eq!(lines[2]["predictions"][0]["label"], "ship");
    for line in lines {
        assert_eq!(line["model"], "cifar10-resnet56");
        assert_eq!(line["digest"].as_str().unwrap().len(), 64);
    }
}

/// The photo of a coffee belongs to none of the ten classes, and the answer is unsure.
#[test]
fn classify_marks_unsure_answers() {
    let photos = ["tests/data/cat.jpg", "src/http/page/samples/coffee.jpg"];
    let output =
        resnetd(&[&["classify", "--format", "table", "--device", "cpu"], &photos[..]].concat());
    let table = String::from_utf8_lossy(&output.stdout);
    let titles: Vec<_> = table.lines().filter(|line| line.contains("(jpeg ")).collect();
    let unsure: Vec<_> = titles.iter().map(|title| title.ends_with(": not sure")).collect();
    assert_eq!(unsure, [false, true], "{table}");
}

#[test]
fn classify_accepts_folders_and_reports_unreadable_files() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::copy("tests/data/cifar10-cat.png", below.join("cat.png")).unwrap();
    std::fs::copy("Cargo.toml", below.join("notes.txt")).unwrap();
    let output = resnetd(&["classify", "--format", "table", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout_of(&output).contains("cat.png (png 32×32)"), "{}", stdout_of(&output));
    assert!(!stdout_of(&output).contains("notes.txt"));
    let output = resnetd(&["classify", "--json", "nowhere.jpg"]);
    assert!(stdout_of(&output).contains("cannot be read"), "{output:?}");
}

#[test]
fn classify_writes_an_overlay_for_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("cifar10-ship.png");
    std::fs::copy("tests/data/cifar10-ship.png", &copy).unwrap();
    let maps = folder.path().join("maps/of/today");
    let output = resnetd(&[
        "classify",
        "--json",
        "--explain",
        maps.to_str().unwrap(),
        "tests/data/cat.jpg",
        "tests/data/cifar10-ship.png",
        copy.to_str().unwrap(),
        "Cargo.toml",
    ]);
    assert!(stderr_of(&output).contains("1 of 4 images"), "{output:?}");
    let lines: Vec<Value> =
        stdout_of(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, name, size) in [
        (0, "cat.cat.png", (451, 300)),
        (1, "cifar10-ship.ship.png", (32, 32)),
        (2, "cifar10-ship.ship.2.png", (32, 32)),
    ] {
        let path = maps.join(name);
        assert_eq!(lines[line]["explanation"].as_str(), path.to_str());
        assert_eq!(image::image_dimensions(path).unwrap(), size);
    }
    assert_eq!(maps.read_dir().unwrap().count(), 3);
}

#[test]
fn an_image_can_be_read_from_standard_input() {
    let mut process = program(&["classify", "-", "-k", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&data("cat.jpg")).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success() && stdout_of(&output).starts_with("-: cat 99."), "{output:?}");
    let twice = stderr_of(&resnetd(&["classify", "-", "-"]));
    assert!(twice.contains("standard input has one image"), "{twice}");
}

#[test]
fn each_format_has_a_line_for_an_image_and_failures_go_to_standard_error() {
    let classify = |format: &str| {
        let options = ["classify", "-k", "2", "--precision", "fp32", "--format", format];
        let files = ["tests/data/cat.jpg", "Cargo.toml", "tests/data/cifar10-ship.png"];
        let output = resnetd(&[&options[..], &files].concat());
        let words = stderr_of(&output);
        assert!(words.contains("Cargo.toml: the upload is not an image"), "{words}");
        stdout_of(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let text = classify("text");
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text[0].starts_with("tests/data/cat.jpg: cat 99."), "{text:?}");
    assert!(text[0].contains(" %, dog 0."), "{text:?}");
    for (format, separator) in [("csv", ","), ("tsv", "\t")] {
        let lines = classify(format);
        let columns = "file width height format unsure label_1 probability_1 label_2 probability_2";
        assert_eq!(lines[0], columns.replace(' ', separator));
        let cells: Vec<Vec<&str>> =
            lines[1..].iter().map(|line| line.split(separator).collect()).collect();
        assert_eq!(cells[0][..6], ["tests/data/cat.jpg", "451", "300", "jpeg", "false", "cat"]);
        assert_eq!(
            cells[1][..6],
            ["tests/data/cifar10-ship.png", "32", "32", "png", "false", "ship"]
        );
        assert!(cells.iter().all(|row| row.len() == 9), "{lines:?}");
    }
}

#[test]
fn a_cell_with_a_comma_or_a_quote_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let (results, image) = (folder.path().join("o.csv"), folder.path().join("a \"b\", c.png"));
    std::fs::copy("tests/data/cifar10-cat.png", &image).unwrap();
    let classify = || {
        let paths = [image.to_str().unwrap(), "--output", results.to_str().unwrap()];
        resnetd(&[&["classify", "-k", "1", "--resume"], &paths[..]].concat())
    };
    for _ in 0..2 {
        assert!(classify().status.success());
        let text = std::fs::read_to_string(&results).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains("a \"\"b\"\", c.png\",32,32,png,false,cat,"), "{line}");
        assert_eq!(text.lines().count(), 2, "the second run adds nothing: {text}");
    }
}

/// The image files listed in a file of results.
fn files_in(results: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(results).unwrap();
    let name = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(line) => line["file"].as_str().unwrap().to_owned(),
        Err(_) => line.split([',', '\t']).next().unwrap().to_owned(),
    };
    text.lines().map(name).filter(|name| name != "file").collect()
}

#[test]
fn a_file_of_results_is_continued_with_the_missing_images() {
    let folder = tempfile::tempdir().unwrap();
    let (cat, ship) = ("tests/data/cat.jpg", "tests/data/cifar10-ship.png");
    for ending in ["csv", "tsv", "jsonl"] {
        let results = folder.path().join(format!("o.{ending}"));
        let path = results.to_str().unwrap();
        let output = resnetd(&["classify", "-o", path, cat, "Cargo.toml"]);
        assert!(stderr_of(&output).contains("1 of 2 images"), "{output:?}");
        assert_eq!((stdout_of(&output).as_str(), files_in(&results)), ("", vec![cat.to_owned()]));

        let half = std::fs::OpenOptions::new().append(true).open(&results);
        half.unwrap().write_all(b"{\"file\":\"tests/data/cifar10-sh").unwrap();
        let output = resnetd(&["classify", "-o", path, "--resume", cat, ship]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(files_in(&results), [cat, ship], "the incomplete line was removed");
        let before = std::fs::read(&results).unwrap();
        assert!(resnetd(&["classify", "-o", path, "--resume", ship]).status.success());
        assert_eq!(std::fs::read(&results).unwrap(), before);
    }
    for (ending, options, expected) in [
        ("csv", &["-k", "2"][..], "use the same --format and --top-k"),
        ("jsonl", &["--model", "cifar10-resnet20"], "another model than cifar10-resnet20"),
        ("csv", &["--format", "text"], "use csv, tsv or jsonl"),
        ("csv", &["--format", "jsonl"], "not a line that resnetd classify writes"),
    ] {
        let results = folder.path().join(format!("o.{ending}"));
        let before = std::fs::read(&results).unwrap();
        let path = results.to_str().unwrap();
        let output = resnetd(&[&["classify", "-o", path, "--resume", ship], options].concat());
        assert!(stderr_of(&output).contains(expected), "{output:?}");
        assert_eq!(std::fs::read(&results).unwrap(), before, "{options:?}");
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for format in ["text", "table", "tsv", "jsonl"] {
        let images = ["tests/data/cat.jpg"; 200];
        let mut process = program(&[&["classify", "--format", format], &images[..]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}
