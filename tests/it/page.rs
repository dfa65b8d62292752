//! The page at /, without a browser; `tests/python/check_page.py` uses one.

use resnetd::http::Page;

use crate::support::{Answer, Options, TestServer};

async fn get(server: &TestServer, path: &str, accept: &str) -> Answer {
    let request = server.client.get(server.at(path)).header("accept", accept);
    Answer::of(request.send().await.unwrap()).await
}

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn a_browser_gets_a_page_that_loads_nothing_external() {
    let server = TestServer::start();
    let front = get(&server, "/", BROWSER).await;
    assert_eq!(front.status, 200);
    assert_eq!(front.header("content-type"), "text/html; charset=utf-8");
    let mut pages = vec![front];
    let mut asked: Vec<String> = Vec::new();
    while let Some(page) = pages.pop() {
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let elsewhere = page.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http:") && !elsewhere.contains("https:"), "{}", page.text);
        for (before, folder) in [("\"/page/", "/page/"), ("from \"./", "/page/")] {
            for (start, _) in page.text.match_indices(before) {
                let name = page.text[start + before.len()..].split('"').next().unwrap();
                let path = format!("{folder}{name}");
                if !asked.contains(&path) {
                    let part = get(&server, &path, "*/*").await;
                    assert_eq!(part.status, 200, "{path}");
                    pages.push(part);
                    asked.push(path);
                }
            }
        }
    }
    assert_eq!(asked.len(), 25, "{asked:?}");
}

#[tokio::test]
async fn other_clients_get_a_text() {
    let server = TestServer::start();
    let answer = get(&server, "/", "*/*").await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("vary"), "accept");
    assert!(answer.text.contains("curl --data-binary @photo.jpg"), "{answer:?}");
}

#[tokio::test]
async fn without_the_page_its_paths_are_404() {
    let server = TestServer::with(Options { page: Page::Off, ..Options::default() });
    for path in ["/", "/page/page.js"] {
        let answer = get(&server, path, BROWSER).await;
        assert_eq!((answer.status, answer.reason()), (404, "not-found".to_owned()), "{path}");
    }
}
