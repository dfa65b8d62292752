//! Requests and answers in the formats of other servers. `tests/python/check_compatibility.py` uses their clients.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::multipart::{Form, Part};
use resnetd::http::VertexRoutes;
use serde_json::{Value, json};

use crate::support::engines::Gate;
use crate::support::{Answer, Options, TestServer, data, default_model, resnetd};

const MODEL: &str = "cifar10-resnet56";
const KSERVE: &str = "/v1/models/cifar10-resnet56:predict";

fn base64(name: &str) -> String {
    BASE64_STANDARD.encode(data(name))
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Answer {
    server.post(path, body.to_string()).await
}

/// The answer of `/classify`, as labels and scores.
async fn scored(server: &TestServer, name: &str, top_k: usize) -> Value {
    let answer = server.post(&format!("/classify?top_k={top_k}"), data(name)).await.json();
    let pair = |class: &Value| json!({ "label": class["label"], "score": class["probability"] });
    answer["predictions"].as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test]
async fn hugging_face_bytes_and_json_are_answered_with_labels_and_scores() {
    let server = TestServer::start();
    let expected = scored(&server, "cat.jpg", 5).await;
    for path in ["/", "/models/cifar10-resnet56"] {
        let answer = server.post(path, data("cat.jpg")).await;
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{path}");
        assert!(answer.header("server-timing").contains("inference;dur="));
    }
    for (path, parameters, top_k) in [
        ("/", json!(null), 5),
        ("/", json!({}), 5),
        ("/", json!({ "top_k": 2 }), 2),
        ("/", json!({ "top_k": 2.0, "function_to_apply": null }), 2),
        ("/", json!({ "function_to_apply": "softmax" }), 5),
        ("/?top_k=3", json!({}), 3),
        ("/?top_k=3", json!({ "top_k": 1 }), 1),
    ] {
        let body = json!({
            "inputs": base64("cat.jpg"), "parameters": parameters, "options": { "use_cache": false }
        });
        let answer = post(&server, path, &body).await;
        let expected = scored(&server, "cat.jpg", top_k).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{body:.80}");
    }
    let both = json!({ "inputs": [base64("cat.jpg"), base64("cifar10-ship.png")] });
    let answer = post(&server, "/", &both).await.json();
    assert_eq!(answer, json!([expected, scored(&server, "cifar10-ship.png", 5).await]));
}

#[tokio::test]
async fn other_functions_are_applied_to_the_logits() {
    let mut model = default_model();
    // A calibrated softmax divides the logits by the temperature.
    let mut card = model.card.as_ref().clone();
    card.calibration.clear();
    model.card = card.into();
    let server = TestServer::with(Options { model, ..Options::default() });
    let scores = async |function: &str| -> Vec<(String, f64)> {
        let path = format!("/?top_k=10&function_to_apply={function}");
        let answer = server.post(&path, data("cat.jpg")).await.json();
        let pair = |class: &Value| {
            (class["label"].as_str().unwrap().to_owned(), class["score"].as_f64().unwrap())
        };
        answer.as_array().unwrap().iter().map(pair).collect()
    };
    let (logits, softmax, sigmoid) =
        (scores("none").await, scores("softmax").await, scores("sigmoid").await);
    let sum: f64 = logits.iter().map(|(_, logit)| logit.exp()).sum();
    for (place, (label, logit)) in logits.iter().enumerate() {
        assert_eq!((&softmax[place].0, &sigmoid[place].0), (label, label));
        assert!((softmax[place].1 - logit.exp() / sum).abs() < 1e-5, "{label}");
        assert!((sigmoid[place].1 - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6, "{label}");
    }
}

#[tokio::test]
async fn all_common_variants_of_base64_are_accepted() {
    let server = TestServer::start();
    let expected = scored(&server, "cat.jpg", 5).await;
    let standard = base64("cat.jpg");
    let lines: Vec<&str> =
        standard.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    for text in [
        json!(standard).to_string(),
        json!(standard.trim_end_matches('=')).to_string(),
        json!(BASE64_URL_SAFE_NO_PAD.encode(data("cat.jpg"))).to_string(),
        json!(lines.join("\n")).to_string(),
        json!(format!("data:image/jpeg;base64,{standard}")).to_string(),
        json!(standard).to_string().replace('/', "\\/"),
    ] {
        let answer = server.post("/", format!(" \n{{\"inputs\": {text}}}")).await;
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{text:.90}");
    }
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

#[tokio::test]
async fn torchserve_answers_one_object() {
    let server = TestServer::start();
    let own = server.classify(data("cat.jpg")).await.text;
    let flat: String = {
        // Compared as text, for the digits and the order.
        let value = |text: &str, name: &str| {
            let value = text.split_once(name).unwrap().1;
            value.split([',', '}']).next().unwrap().to_owned()
        };
        let classes = own.split("{\"label\":").skip(1);
        let pair = |class: &str| {
            format!("{}:{}", value(&format!("={class}"), "="), value(class, "\"probability\":"))
        };
        format!("{{{}}}", classes.map(pair).collect::<Vec<_>>().join(","))
    };
    for path in ["", "/1", "/1.0"].map(|version| format!("/predictions/{MODEL}{version}")) {
        let answer = server.post(&path, data("cat.jpg")).await;
        assert_eq!((answer.status, &answer.text), (200, &flat), "{path}");
        let put = server.client.put(server.at(&path)).body(data("cat.jpg"));
        assert_eq!(Answer::of(put.send().await.unwrap()).await.text, flat);
        let form = Form::new().part("data", Part::bytes(data("cat.jpg")).file_name("cat.jpg"));
        let form = server.client.post(server.at(&path)).multipart(form);
        assert_eq!(Answer::of(form.send().await.unwrap()).await.text, flat);
    }
    let part = || Part::bytes(data("cat.jpg")).file_name("cat.jpg");
    let form = Form::new().part("data", part()).part("more", part());
    let path = server.at(&format!("/predictions/{MODEL}"));
    let answer = Answer::of(server.client.post(path).multipart(form).send().await.unwrap()).await;
    assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"));
    let answer = server.post("/predictions/cifar10-resnet56/2.0", data("cat.jpg")).await;
    assert_eq!((answer.status, &*answer.reason()), (404, "not-found"));
    assert!(answer.text.contains(r#"has no version \"2\""#), "{answer:?}");
}

#[tokio::test]
async fn instances_in_every_format_are_answered_in_order() {
    let routes = VertexRoutes::new(Some("/v1/endpoints/7:predict"), Some("/healthy")).unwrap();
    let server = TestServer::with(Options { vertex: routes, ..Options::default() });
    let (cat, ship) = (base64("cat.jpg"), base64("cifar10-ship.png"));
    let body = json!({
        "instances": [
            cat, { "b64": ship }, { "image_bytes": { "b64": cat } }, { "image": { "b64": ship } },
            { "content": cat, "mimeType": "image/jpeg" },
        ],
        "parameters": { "top_k": 2.0 },
        "signature_name": "serving_default",
    });
    let (cat, ship) =
        (scored(&server, "cat.jpg", 2).await, scored(&server, "cifar10-ship.png", 2).await);
    let expected = json!({ "predictions": [cat, ship, cat, ship, cat] });
    let versioned = "/v1/models/cifar10-resnet56/versions/1:predict";
    for path in ["/v1/endpoints/7:predict", KSERVE, versioned, "/invocations"] {
        let answer = post(&server, path, &body).await;
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{path}");
    }
    let raw = server.post("/v1/endpoints/7:predict?top_k=2", data("cat.jpg")).await;
    assert_eq!(raw.json(), json!({ "predictions": [cat] }));
    assert_eq!(server.get("/healthy").await.json(), json!({ "status": "Healthy" }));
    let lines = server.get("/metrics").await.text;
    assert!(lines.contains(r#"route="/v1/endpoints/7:predict",status="200"} 2"#), "{lines}");
    assert!(lines.contains(r#"route="/v1/models/{model}",status="200"} 1"#), "{lines}");
}

#[tokio::test]
async fn invocations_answer_in_the_format_of_the_request() {
    let server = TestServer::start();
    let own = server.classify(data("cat.jpg")).await.json();
    assert_eq!(server.post("/invocations", data("cat.jpg")).await.json(), own);
    let one = server.post("/invocations?top_k=1", data("cat.jpg")).await.json();
    assert_eq!(one["predictions"].as_array().unwrap().len(), 1);
    let inputs = json!({ "inputs": base64("cat.jpg") });
    let expected = scored(&server, "cat.jpg", 5).await;
    assert_eq!(post(&server, "/invocations", &inputs).await.json(), expected);
    let part = |name: &'static str| Part::bytes(data(name)).file_name(name);
    let form = Form::new().part("a", part("cat.jpg")).part("b", part("cifar10-ship.png"));
    let form = server.client.post(server.at("/invocations")).multipart(form);
    let answer = Answer::of(form.send().await.unwrap()).await.json();
    assert_eq!(answer["results"][1]["predictions"][0]["label"], "ship");
}

#[tokio::test]
async fn an_invalid_image_among_several_is_the_error_of_the_request() {
    let server = TestServer::start();
    let body = json!({ "instances": [
        base64("cat.jpg"), BASE64_STANDARD.encode("%PDF-1.7"), BASE64_STANDARD.encode("nothing")
    ] });
    let answer = post(&server, KSERVE, &body).await;
    assert_eq!((answer.status, &*answer.reason()), (415, "unsupported-format"));
    let problem = answer.json();
    assert!(problem["error"].as_str().unwrap().starts_with("image 2 of "), "{problem}");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
    assert_eq!(server.model.pipeline.metrics().images_in_flight.get(), 0);
}

#[tokio::test]
async fn invalid_bodies_are_errors_with_the_valid_formats() {
    let server = TestServer::start();
    let many = json!({ "instances": vec!["AAAA"; 257] }).to_string();
    let numbers = json!({ "instances": [[[0, 0, 0], [1, 1, 1]]] }).to_string();
    let mut answers = Vec::new();
    for (path, body) in [
        ("/", r#"{"image": "AAAA"}"#),
        ("/", r#"{"inputs": 7}"#),
        ("/", r#"{"inputs": []}"#),
        ("/", r#"{"inputs": "not base64!"}"#),
        ("/", r#"{"inputs": "AAAA", "parameters": {"topk": 1}}"#),
        ("/", r#"{"inputs": "AAAA", "parameters": {"top_k": 0}}"#),
        ("/", r#"{"inputs": "AAAA", "parameters": {"top_k": 1.5}}"#),
        ("/", r#"{"inputs": "AAAA", "parameters": {"function_to_apply": "tanh"}}"#),
        ("/", r#"{"inputs": "AAAA""#),
        ("/", r#"{"inputs": "AAAA"}"#),
        ("/?function_to_apply=tanh", "x"),
        ("/?labels=cat", "x"),
        (KSERVE, &many),
        (KSERVE, &numbers),
        (KSERVE, r#"{"instances": []}"#),
        (KSERVE, r#"{"instances": [{}]}"#),
        (KSERVE, r#"{"instances": [{"input_1": "AAAA"}]}"#),
        (KSERVE, r#"{"instances": [{"b64": "AAAA", "url": "http://a.example/"}]}"#),
        (KSERVE, r#"{"inputs": "AAAA"}"#),
        (KSERVE, "{nonsense"),
        ("/classify", r#"{"image": "AAAA"}"#),
        ("/invocations", r#"{"image": "AAAA"}"#),
        ("/models/resnet50", "x"),
        ("/models/owner/name", "x"),
        ("/predictions/kitten", "x"),
        ("/predictions/cifar10-resnet56x/1.0", "x"),
        ("/v1/models/kitten:predict", "x"),
        ("/v1/models/cifar10-resnet56/versions/7:predict", "x"),
        ("/v1/models/cifar10-resnet56:explain", "x"),
    ] {
        let request =
            server.client.post(server.at(path)).header("content-type", "application/json");
        let answer = Answer::of(request.body(body.to_owned()).send().await.unwrap()).await;
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status);
        let detail = problem["detail"].as_str().unwrap();
        answers.push(format!(
            "{path} {body:.60}\n    {} {} {detail}",
            answer.status,
            answer.reason()
        ));
    }
    insta::assert_snapshot!("shapes_that_do_not_fit", answers.join("\n"));
}

#[tokio::test]
async fn descriptions_and_health_in_other_protocols() {
    let server = TestServer::start();
    for path in ["/ping", "/health"] {
        assert_eq!(server.get(path).await.json(), json!({ "status": "Healthy" }));
    }
    assert_eq!(server.get("/v1/models").await.json()["models"], json!([MODEL]));
    for path in ["/v1/models/cifar10-resnet56", "/v1/models/cifar10-resnet56/versions/1"] {
        let status = server.get(path).await.json();
        assert_eq!([&status["name"], &status["ready"]], [&json!(MODEL), &json!(true)]);
        assert_eq!(status["model_version_status"][0]["state"], "AVAILABLE");
    }
    let unknown = server.get("/v1/models/kitten").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains(MODEL), "{unknown:?}");
    server.server.phase.drain();
    for path in ["/ping", "/health", "/v1/models/cifar10-resnet56"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, &*answer.reason()), (503, "not-ready"), "{path}");
    }
}

#[tokio::test]
async fn other_servers_routes_pass_the_same_admission_control() {
    let gate = Gate::default();
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.plan.queue_capacity = 4;
    let server = TestServer::with(options);
    // Each on a new connection, so that all clients have the same number of images.
    let blocked: Vec<_> = (0..4)
        .map(|_| {
            let request = server.client.post(server.at("/")).body(data("cifar10-cat.png"));
            tokio::spawn(request.send())
        })
        .collect();
    crate::support::until("four are in flight", || {
        server.model.pipeline.metrics().images_in_flight.get() == 4
    })
    .await;
    let body = json!({ "instances": [base64("cifar10-cat.png")] });
    let answer = post(&server, KSERVE, &body).await;
    assert_eq!((answer.status, &*answer.reason()), (503, "queue-full"));
    assert!(answer.headers.contains_key("retry-after"));
    let request = server.client.post(server.at("/")).header("x-request-timeout-ms", "soon");
    let late = request.body(data("cifar10-cat.png")).send();
    assert_eq!(late.await.unwrap().status(), 422);
    gate.open();
    for request in blocked {
        let answer = Answer::of(request.await.unwrap().unwrap()).await;
        assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, 5));
    }
}

#[test]
fn invalid_paths_for_vertex_ai_are_errors_at_start() {
    for (option, typed, words) in [
        ("--vertex-predict-route", "predict", "it takes a path"),
        ("--vertex-predict-route", "/{name}", "it takes a path"),
        ("--vertex-predict-route", "/a/:b", "it takes a path"),
        ("--vertex-predict-route", "/a b", "it takes a path"),
        ("--vertex-health-route", "/*", "it takes a path"),
        ("--vertex-health-route", "", "it takes a path"),
        ("--vertex-predict-route", "/classify", "which is the path of another route"),
        ("--vertex-predict-route", "/ping", "which is the path of another route"),
        ("--vertex-health-route", "/metrics", "which is the path of another route"),
        ("--vertex-port", "http", "invalid value"),
    ] {
        let output = resnetd(&["serve", "--listen", "127.0.0.1:0", option, typed]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(words), "{typed}: {message}");
    }
}

/// A path with two handlers would panic at start.
#[tokio::test]
async fn every_valid_path_is_accepted_for_vertex_ai() {
    for path in [
        "/predict",
        "/vertex",
        "/models/x",
        "/v1/models/x:predict",
        "/predictions/x",
        "/a/b",
        "/v1/endpoints/1/deployedModels/2:predict",
        "/models",
        "/v1",
        "/page",
    ] {
        let vertex = VertexRoutes::new(Some(path), Some(path)).unwrap();
        let server = TestServer::with(Options { vertex, ..Options::default() });
        assert_eq!(server.get(path).await.json()["status"], "Healthy", "{path}");
        let answer = server.post(path, data("cifar10-ship.png")).await.json();
        assert_eq!(answer["predictions"][0][0]["label"], "ship", "{path}");
    }
    for (predict, health) in [("/invocations", "/ping"), ("/invocations", "/health")] {
        let vertex = VertexRoutes::new(Some(predict), Some(health)).unwrap();
        assert_eq!(vertex, VertexRoutes::default(), "these paths already exist");
    }
}

/// All paths in the sources must be rejected for Vertex AI.
#[test]
fn own_paths_are_reserved() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut folders = vec![folder];
    let mut paths = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            // The admin address has its own routes.
            if file.ends_with("http/admin.rs") {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let routes = text.match_indices(".route(\"").chain(text.match_indices("path = \"/"));
            for (start, before) in routes {
                let start = start + before.trim_end_matches('/').len();
                let path = text[start..].split('"').next().unwrap();
                if path.contains('{') {
                    continue;
                }
                paths += 1;
                let shadows = |vertex: Result<VertexRoutes, _>| {
                    vertex.is_ok_and(|vertex| vertex != VertexRoutes::default())
                };
                let taken = !shadows(VertexRoutes::new(Some(path), None))
                    && !shadows(VertexRoutes::new(None, Some(path)));
                assert!(taken, "add {path} to TAKEN in protocol/vertex.rs");
            }
        }
    }
    assert!(paths > 10, "the sources are found");
}
