"""Uploads that are cheap to send and expensive to process. All are generated here."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

DATA = b"\x7f" * 9_000_000


def png(width: int, height: int, bits: int = 1) -> bytes:
    """A grey PNG of one colour, which deflate makes small."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" * (1 + (width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    """A GIF whose only frame has fewer codes than pixels."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b";"


def jpeg(width: int, height: int, **options: object) -> bytes:
    """Pillow's JPEG of a gradient."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "jpeg", **options)
    return out.getvalue()


def noise(width: int, height: int, **options: object) -> bytes:
    """Pillow's JPEG of gray noise, whose codes take long to decode."""
    out = io.BytesIO()
    Image.effect_noise((width, height), 60).save(out, "jpeg", **options)
    return out.getvalue()


def webp(width: int, height: int, colors: int = 256, **options: object) -> bytes:
    """Pillow's WebP of a gradient."""
    out = io.BytesIO()
    gradient = Image.linear_gradient("L").quantize(colors).convert("RGB")
    gradient.resize((width, height)).save(out, "webp", **options)
    return out.getvalue()


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive grey JPEG with many scans of one band, all with empty blocks."""
    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    one_code = bytes([1]) + bytes(15)
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    out = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    out += segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    out += segment(0xC4, b"\x00" + one_code + b"\0") + segment(0xC4, b"\x10" + bytes([0, 2]) + bytes(14) + b"\xe0\x00")
    out += segment(0xDA, b"\1\1\0\0\0\0") + b"\0" * ((blocks + 7) // 8)
    runs, end_of_bands = divmod(blocks, 1 << 15)
    for number in range(scans):
        band = 1 + number % 63
        # End-of-band runs of 2^14 and more blocks: a few bits say "nothing in any block".
        bits = ("00" + "1" * 14) * (runs * 2 + 2 + end_of_bands // (1 << 14))
        data = int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big").replace(b"\xff", b"\xff\0")
        out += segment(0xDA, bytes([1, 1, 0, band, band, 0])) + data
    return out + b"\xff\xd9"


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def nested_webp(depth: int) -> bytes:
    """Animation frames inside of animation frames."""
    inner = riff_chunk(b"VP8L", b"\x2f" + bytes(11))
    headers = []
    for _ in range(depth):
        headers.append(b"ANMF" + struct.pack("<I", len(inner) + 24 * len(headers) + 16) + bytes(16))
    canvas = riff_chunk(b"VP8X", bytes([2]) + bytes(9))
    return riff(canvas, riff_chunk(b"ANIM", bytes(6)), b"".join(reversed(headers)) + inner)


class Bits:
    """Bits, the lowest first, as in VP8L."""

    def __init__(self) -> None:
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count
        while self.count >= 8:
            self.out.append(self.value & 255)
            self.value >>= 8
            self.count -= 8

    def code(self, value: int, length: int) -> None:
        """A prefix code, the highest bit first."""
        for bit in reversed(range(length)):
            self.put(value >> bit & 1, 1)


def vp8l_groups(groups: int) -> bytes:
    """A lossless WebP of 4x4 pixels whose entropy image names a group of prefix codes far away; before it
    are as many groups, each with the deepest tables there are."""
    bits = Bits()
    bits.put(0x2F, 8)
    bits.put(3, 14)
    bits.put(3, 14)
    for value, count in ((1, 1), (0, 3), (0, 1), (0, 1), (1, 1), (0, 3), (0, 1)):
        bits.put(value, count)
    last = groups - 1
    for channel in (last & 255, last >> 8, 0, 0):
        for value, count in ((1, 1), (0, 1), (1, 1), (channel, 8)):
            bits.put(value, count)
    for value, count in ((1, 1), (0, 1), (0, 1), (0, 1)):
        bits.put(value, count)
    lengths = {length: (length - 1, 3) for length in range(1, 7)}
    lengths |= {7: (12, 4), 8: (13, 4), 9: (14, 4), 10: (15, 4)}
    for _ in range(groups * 5):
        bits.put(0, 1)
        bits.put(10, 4)
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10):
            bits.put(lengths[symbol][1] if symbol in lengths else 0, 3)
        for value, count in ((1, 1), (1, 3), (9, 4)):
            bits.put(value, count)
        for length in (*range(1, 11), 10):
            bits.code(*lengths[length])
    bits.put(0, 64)
    bits.put(0, 64)
    return riff(riff_chunk(b"VP8L", bytes(bits.out)))


def tiff_of_one_jpeg(width: int, height: int, jpeg_bytes: bytes) -> bytes:
    """A grey TIFF of one row a strip, every strip of which is the same JPEG, of whatever size that has."""
    entries = 9
    start = 8 + 2 + 12 * entries + 4
    offsets = start + len(jpeg_bytes)
    counts = offsets + 4 * height
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 1),
        (273, 4, height, offsets), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, height, counts),
    ]
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    lists = struct.pack("<I", start) * height + struct.pack("<I", len(jpeg_bytes)) * height
    return struct.pack("<2sHIH", b"II", 42, 8, entries) + directory + bytes(4) + jpeg_bytes + lists


def form(files: list[bytes]) -> bytes:
    """A multipart form, boundary X."""
    part = b'--X\r\nContent-Disposition: form-data; name="image"; filename="f"\r\n\r\n%s\r\n'
    return b"".join(part % file for file in files) + b"--X--\r\n"


def worst_pictures(pixels: int) -> Iterator[tuple[str, bytes]]:
    """The most expensive images of at most a megabyte and about this number of pixels."""
    side = int(pixels**0.5) // 16 * 16
    yield "PNG, 1 bit", png(side, side)
    yield "PNG, 8 bits", png(side, side, 8)
    yield "GIF, 43 bytes", gif(side, side)
    yield "JPEG, baseline", jpeg(side, side, quality=1)
    yield "JPEG, progressive", jpeg(side, side, quality=1, progressive=True)
    yield "JPEG, 64 scans", many_scans(side, side, 63)
    yield "JPEG, 95 scans", many_scans(side, side, 95)
    yield "WebP, lossy", webp(side, side, quality=0, method=0)
    yield "WebP, lossless", webp(side, side, lossless=True, method=0, colors=1)
    yield "WebP, 1,000 prefix groups", vp8l_groups(1000)
    yield "WebP, 16,000 prefix groups", vp8l_groups(16_000)
    yield "WebP, 18,000 frames deep", nested_webp(18_000)
    yield "TIFF, 400 strips of one JPEG", tiff_of_one_jpeg(16, 400, many_scans(side, side, 95))
    yield "TIFF, 60,000 strips of one JPEG", tiff_of_one_jpeg(1, 60_000, jpeg(512, 512, quality=1))
