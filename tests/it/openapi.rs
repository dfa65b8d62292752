//! The document at /openapi.json. `tests/python/check_api.py` compares answers with it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::Method;
use resnetd::http::Page;
use resnetd::http::problem::Kind;
use serde_json::{Map, Value};

use crate::support::{Answer, Options, TestServer};

async fn document(server: &TestServer) -> Value {
    let answer = server.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

/// Method, path and description of each operation.
fn operations(document: &Value) -> Vec<(String, String, Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().iter().map(move |(method, operation)| {
            (method.to_uppercase(), path.clone(), operation.as_object().unwrap().clone())
        })
    });
    all.collect()
}

/// A path with the served model's name.
fn named(path: &str) -> String {
    path.replace("{model}", "cifar10-resnet56")
}

#[tokio::test]
async fn documented_routes_exist() {
    let server = TestServer::start();
    let document = document(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let operations = operations(&document);
    assert!(operations.len() >= 10, "{}", operations.len());
    for (method, path, operation) in operations {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = server.client.request(method.clone(), server.at(&named(&path)));
        let answer = Answer::of(request.send().await.unwrap()).await;
        let status = answer.status.to_string();
        assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {answer:?}");
        // This server has no shadow.
        let is_absent = answer.status == 404 && path != "/v1/models/{model}/shadow";
        assert!(!is_absent && answer.status != 405, "{method} {path}: {answer:?}");
        for member in ["summary", "operationId", "tags"] {
            assert!(operation.get(member).is_some(), "{method} {path} has no {member}");
        }
    }
}

/// Reads the sources, because a router cannot list its routes; `boundaries.rs` checks that routes are added in no
/// other way.
#[tokio::test]
async fn every_documented_handler_is_in_the_document() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"))];
    let mut written = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
                written += text.matches("#[utoipa::path(").count();
                written += text.matches("method(post, put)").count(); // two methods of one handler
            }
        }
    }
    let server = TestServer::start();
    // Three of them also exist with the model in the path.
    assert_eq!(operations(&document(&server).await).len(), written + 3);
}

#[tokio::test]
async fn every_kind_of_problem_is_documented_under_its_status() {
    let server = TestServer::start();
    let document = document(&server).await;
    let slugs: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.row().1).collect();
    let reasons = document["components"]["schemas"]["Kind"]["enum"].as_array().unwrap();
    assert_eq!(reasons.iter().map(|slug| slug.as_str().unwrap()).collect::<BTreeSet<_>>(), slugs);

    let mut shown = BTreeSet::new();
    for (_, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = &response["content"]["application/problem+json"];
            for (slug, example) in content["examples"].as_object().into_iter().flatten() {
                let problem = &example["value"];
                assert_eq!(problem["reason"], **slug, "{path}");
                assert_eq!(problem["status"].to_string(), *status, "{path}: {slug}");
                shown.insert(slug.clone());
            }
        }
    }
    // These are not answers of an operation on the public address.
    shown.extend(
        ["not-found", "method-not-allowed", "not-an-admin", "change-failed"].map(str::to_owned),
    );
    assert_eq!(shown.iter().map(String::as_str).collect::<BTreeSet<_>>(), slugs);
}

#[tokio::test]
async fn client_generators_find_every_schema_and_the_raw_body_first() {
    let server = TestServer::start();
    let text = server.get("/openapi.json").await.text;
    assert!(text.contains(r#""content":{"application/octet-stream":"#));
    assert!(text.contains("schemas/ImageUrl"));
    assert!(!text.contains(
        r##""content":{"application/json":{"schema":{"$ref":"#/components/schemas/ImageUrl"##
    ));
    let document: Value = serde_json::from_str(&text).unwrap();
    let references = text.split(r##""$ref":"#"##).skip(1);
    for reference in references.map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let reference = part["$ref"].as_str().map(|reference| &reference[1..]);
            let part = reference.map_or(part, |reference| document.pointer(reference).unwrap());
            assert!(part.get("oneOf").is_none(), "{name} has a choice inside allOf");
        }
    }
}

#[tokio::test]
async fn without_the_page_the_document_has_no_page_routes() {
    let server = TestServer::with(Options { page: Page::Off, ..Options::default() });
    let document = document(&server).await;
    assert!(document["paths"].get("/classify").is_some());
    for path in ["/", "/docs"] {
        // Programs use `POST /`.
        assert!(document["paths"][path].get("get").is_none(), "{path}");
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/docs/swagger-ui-bundle.js").await.status, 404);
}

#[tokio::test]
async fn the_api_documentation_may_only_connect_to_this_server() {
    let server = TestServer::start();
    let page = server.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let mut files: Vec<&str> = Vec::new();
    for attribute in ["href=\"/docs/", "src=\"/docs/"] {
        files
            .extend(page.text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()));
    }
    assert_eq!(files.len(), 4, "{files:?}");
    for path in files.iter().map(|file| format!("/docs/{file}")).chain(["/docs".to_owned()]) {
        let answer = server.client.get(server.at(&path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}
