//! A thousand damaged images: each is answered, and the server continues normally.

use futures_util::{StreamExt, stream};
use resnetd::pipeline::decode::Limits;

use crate::support::{Options, TestServer, data, seeded};

/// Images of several formats, to be damaged.
const WHOLE: &[&str] = &["cat.jpg", "cifar10-cat.png"];

#[tokio::test]
async fn a_thousand_damaged_images_do_not_end_a_worker() {
    let mut options = Options::default();
    options.plan.limits = Limits { max_pixels: 4_000_000, ..options.plan.limits };
    let server = TestServer::with(options);
    let noise = seeded::pixels(8 * 1000);
    let statuses: Vec<u16> = stream::iter(noise.chunks(8).enumerate())
        .map(|(number, noise)| {
            let photo = damage(data(WHOLE[number % WHOLE.len()]), noise);
            let server = &server;
            async move { server.classify(photo).await.status }
        })
        .buffered(8)
        .collect()
        .await;
    assert_eq!(statuses.len(), 1000);
    for status in &statuses {
        assert!(matches!(status, 200 | 400 | 413 | 415), "{status}");
    }
    assert!(statuses.iter().filter(|status| **status == 400).count() > 100, "damage is detected");
    let healthy = server.classify(data("cat.jpg")).await;
    assert_eq!(healthy.json()["predictions"][0]["label"], "cat");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
    assert!(server.stop().await);
}

/// One of four kinds of damage, at a position determined by `noise`.
fn damage(mut photo: Vec<u8>, noise: &[u8]) -> Vec<u8> {
    let place = usize::from(u16::from_le_bytes([noise[0], noise[1]])) * photo.len() / 65_536;
    match noise[2] % 4 {
        0 => photo.truncate(place),
        1 => photo[place] ^= noise[3] | 1,
        2 => {
            let end = (place + usize::from(noise[3])).min(photo.len());
            photo.drain(place..end);
        }
        // The header is short and most important.
        _ => {
            let header = place % photo.len().min(64);
            for (byte, change) in photo[header..].iter_mut().zip(&noise[3..]) {
                *byte = *change;
            }
        }
    }
    photo
}
