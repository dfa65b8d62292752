//! Raw TCP connections for tests, and HTTP/2 frames.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TestServer;

/// The HTTP/2 client preface and an empty SETTINGS frame.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
pub(crate) const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\x0012345678";

pub(crate) async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// All bytes until the server closes the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset also ends the response.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

pub(crate) async fn talk(server: &TestServer, words: &[u8]) -> String {
    let mut stream = connect(server).await;
    let _ = stream.write_all(words).await;
    String::from_utf8_lossy(&rest(&mut stream).await).into_owned()
}

/// The types and payloads of the frames in `bytes`.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, behind)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, after)) = behind.split_at_checked(length) else { break };
        frames.push((head[3], payload.to_vec()));
        bytes = after;
    }
    frames
}

/// The error code of the GOAWAY in `bytes`.
pub(crate) fn goaway(bytes: &[u8]) -> Option<u32> {
    let frames = frames(bytes);
    let (_, payload) = frames.iter().find(|(kind, _)| *kind == 7)?;
    Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

/// An HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
