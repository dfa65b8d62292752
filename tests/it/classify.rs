//! Answers to valid requests.

use reqwest::multipart::{Form, Part};

use crate::support::{Answer, TestServer, data};

#[tokio::test]
async fn a_photo_is_answered_with_its_classes() {
    let server = TestServer::start();
    let answer = server.classify(data("cat.jpg")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["model"], "cifar10-resnet56");
    assert_eq!(body["image"]["format"], "jpeg");
    let predictions = body["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 5);
    assert_eq!(predictions[0]["label"], "cat");
    let probabilities: Vec<f64> =
        predictions.iter().map(|class| class["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
    assert!(probabilities.iter().sum::<f64>() <= 1.0 + 1e-6);
}

#[tokio::test]
async fn top_k_is_bounded_by_the_number_of_classes() {
    let server = TestServer::start();
    for (query, expected) in [("", 5), ("?top_k=1", 1), ("?top_k=10", 10), ("?top_k=1000", 10)] {
        let answer = server.post(&format!("/classify{query}"), data("cifar10-ship.png")).await;
        let body = answer.json();
        assert_eq!(body["predictions"].as_array().unwrap().len(), expected, "{query}");
        assert_eq!(body["predictions"][0]["label"], "ship");
    }
}

#[tokio::test]
async fn the_content_type_is_ignored() {
    let server = TestServer::start();
    for content_type in ["image/png", "text/plain", "application/x-www-form-urlencoded", "nonsense"]
    {
        let request = server
            .client
            .post(server.at("/classify"))
            .header("content-type", content_type)
            .body(data("cifar10-cat.png"));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
    }
}

#[tokio::test]
async fn a_form_with_one_image_is_answered_like_the_image_alone() {
    let server = TestServer::start();
    let alone = server.classify(data("cifar10-cat.png")).await;
    let form = Form::new().part("image", Part::bytes(data("cifar10-cat.png")).file_name("c.png"));
    let request = server.client.post(server.at("/classify")).multipart(form);
    let in_form = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(in_form.json(), alone.json());
}

#[tokio::test]
async fn several_images_are_answered_in_order_with_a_bad_one_in_its_place() {
    let server = TestServer::start();
    let part = |bytes: Vec<u8>, name: &'static str| Part::bytes(bytes).file_name(name);
    let form = Form::new()
        .part("a", part(data("cat.jpg"), "cat.jpg"))
        .part("b", part(b"not an image".to_vec(), "notes.txt"))
        .part("c", part(data("cifar10-ship.png"), "ship.png"))
        .part("d", part(data("cifar10-airplane.png"), "plane.png"));
    let request = server.client.post(server.at("/classify?top_k=1")).multipart(form);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let results = body["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cat.jpg", "notes.txt", "ship.png", "plane.png"]);
    let label = |place: usize| results[place]["predictions"][0]["label"].as_str();
    assert_eq!([label(0), label(2), label(3)], [Some("cat"), Some("ship"), Some("airplane")]);
    assert_eq!(results[1]["reason"], "not-an-image");
    assert_eq!(results[1]["status"], 400);
}

#[tokio::test]
async fn the_answer_has_timings_and_the_request_id() {
    let server = TestServer::start();
    let request = server
        .client
        .post(server.at("/classify"))
        .header("x-request-id", "order-66")
        .body(data("cat.jpg"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "order-66");
    let timing = answer.header("server-timing");
    for stage in ["decode", "preprocess", "queue", "inference"] {
        let dur = timing.split(", ").find_map(|part| part.strip_prefix(&format!("{stage};dur=")));
        assert!(dur.unwrap().parse::<f64>().unwrap() > 0.0, "{timing}");
    }
    let own = server.classify(data("cat.jpg")).await;
    assert_eq!(own.header("x-request-id").len(), 36, "a UUID if none was sent");
}

#[tokio::test]
async fn http2_without_tls_on_the_same_port() {
    let server = TestServer::start();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.post(server.at("/classify")).body(data("cifar10-cat.png"));
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn two_hundred_clients_at_once_each_get_the_answer_to_their_own_image() {
    let server = TestServer::start();
    let names = ["cifar10-cat.png", "cifar10-ship.png", "cifar10-airplane.png", "cat.jpg"];
    let mut alone = Vec::new();
    for name in names {
        alone.push(server.classify(data(name)).await.json());
    }
    let clients = (0..200).map(|client| {
        let (name, expected) = (names[client % names.len()], &alone[client % names.len()]);
        let server = &server;
        async move {
            // A new client uses a new connection.
            let request = reqwest::Client::new().post(server.at("/classify")).body(data(name));
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(&answer.json(), expected, "client {client} sent {name}");
        }
    });
    futures_util::future::join_all(clients).await;
    assert!(server.stop().await);
}
