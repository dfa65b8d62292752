"""Creates test images of every format, and Pillow's decoded pixels for each.

    pip install pillow==13.0.0 scikit-image==0.26.0 imagecodecs==2026.3.6
    python tests/data/make_pictures.py

The photos are scikit-image's `chelsea` (CC0, by Stefan van der Walt) and, large enough to be decoded at
a part of its size, `coffee` (CC0, by Rachel Michetti). For each picture in `pictures/`
there is a reference in `references/`: opened by Pillow, turned upright by its EXIF orientation,
transparency laid over white, made RGB, and resized and cropped as torchvision's Resize and
CenterCrop do on Pillow images.
"""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps
from skimage import data

HERE = Path(__file__).parent
PICTURES, REFERENCES = HERE / "pictures", HERE / "references"
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    REFERENCES.mkdir(exist_ok=True)
    photo = Image.fromarray(data.chelsea())
    photo.save(HERE / "cat.jpg", quality=90)
    make_pictures(photo.resize((225, 150), Image.Resampling.LANCZOS))
    make_rare_pictures(photo.resize((90, 60), Image.Resampling.LANCZOS))
    for path in sorted(PICTURES.iterdir()):
        reference(path, "bilinear", (64, 64), 0.875).save(REFERENCES / f"{path.name}.png")
    for name in FILTERS:
        reference(HERE / "cat.jpg", name, (32, 32), 1.0).save(REFERENCES / f"cat-{name}.png")
    reference(HERE / "cat.jpg", "bilinear", (224, 224), 0.875).save(REFERENCES / "cat-224.png")
    reference(HERE / "cat.jpg", "bicubic", (48, 80), None).save(REFERENCES / "cat-exact.png")
    make_large_jpegs(Image.fromarray(data.coffee()).crop((3, 2, 596, 399)))
    (HERE / "bomb-50k.png").write_bytes(bomb(50_000))


def make_pictures(photo: Image.Image) -> None:
    """All supported formats and kinds of pixels."""
    small = photo.resize((90, 60), Image.Resampling.LANCZOS)
    fading = photo.copy()
    ramp = np.tile(np.linspace(0, 255, photo.width).astype(np.uint8), (photo.height, 1))
    fading.putalpha(Image.fromarray(ramp))
    save(photo, "baseline.jpg", quality=90)
    save(photo, "progressive.jpg", quality=85, progressive=True)
    save(photo, "subsampled-no.jpg", quality=85, subsampling=0)
    save(photo.convert("L"), "gray.jpg", quality=90)
    save(photo.convert("CMYK"), "cmyk.jpg", quality=95)
    save(photo, "rgb.png")
    save(fading.resize(small.size), "alpha.png")
    save(photo.convert("L"), "gray.png")
    save(photo.convert("1"), "bilevel.png")
    save(fading.convert("LA"), "gray-alpha.png")
    save(photo.quantize(64), "palette.png")
    save(photo.quantize(64), "palette-transparent.png", transparency=3)
    (PICTURES / "rgb16.png").write_bytes(png16(np.asarray(small)))
    save(photo, "lossy.webp", quality=85)
    save(photo, "lossless.webp", lossless=True)
    save(fading, "alpha.webp", quality=85)
    save(photo.quantize(128), "still.gif")
    frames = [small.quantize(64), small.rotate(180).quantize(64)]
    save(frames[0], "animated.gif", save_all=True, append_images=frames[1:], duration=100)
    save(small, "rgb.bmp")
    save(photo.quantize(64), "palette.bmp")
    save(small, "raw.tif")
    save(small, "deflate.tif", compression="tiff_deflate")
    save(small, "lzw.tif", compression="tiff_lzw")
    save(photo.convert("L"), "gray.tif")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(small, f"orientation-{orientation}.jpg", quality=95, subsampling=0, exif=exif)
    for kind in ("png", "webp", "tif"):
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"lossless": True} if kind == "webp" else {}
        save(small, f"orientation-6.{kind}", exif=exif, **options)
    save(photo.crop((50, 50, 51, 51)), "one-pixel.png")
    save(photo.resize((2000, 3)), "wide.png")
    save(photo.resize((3, 2000)), "tall.png")


def make_rare_pictures(small: Image.Image) -> None:
    """Valid but rare variants of the formats."""
    fading = small.copy()
    ramp = np.tile(np.linspace(0, 255, small.width).astype(np.uint8), (small.height, 1))
    fading.putalpha(Image.fromarray(ramp))
    pixels, rgba = np.asarray(small), np.asarray(fading)
    gray16 = np.asarray(small.convert("L")).astype("u2") * 257
    save(small, "restart.jpg", quality=90, restart_marker_blocks=3)
    save(small, "rgb-not-ycc.jpg", quality=95, keep_rgb=True)
    save(small.convert("L"), "gray-progressive.jpg", quality=90, progressive=True)
    save(small.convert("CMYK"), "cmyk-progressive.jpg", quality=95, progressive=True)
    inverted = 255 - np.asarray(small.convert("CMYK"))
    (PICTURES / "ycck.jpg").write_bytes(imagecodecs.jpeg8_encode(
        inverted, level=95, colorspace="CMYK", outcolorspace="YCCK", subsampling="420"))
    for sampling in ("411", "440"):
        (PICTURES / f"subsampled-{sampling}.jpg").write_bytes(
            imagecodecs.jpeg8_encode(pixels, level=90, subsampling=sampling))
    save(Image.fromarray(gray16), "gray16.png")
    (PICTURES / "rgba16.png").write_bytes(png16(rgba))
    (PICTURES / "interlaced.png").write_bytes(
        png(small.width, small.height, 8, adam7(pixels), interlace=1))
    exif = Image.Exif()
    exif[0x0112] = 6
    after = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    (PICTURES / "orientation-after.png").write_bytes(
        png(small.width, small.height, 8, rows, after=after))
    save(small.quantize(64), "palette-alpha.png", transparency=bytes(range(0, 256, 4)))
    save(small, "rgb-transparent.png", transparency=small.getpixel((9, 9)))
    save(small.quantize(4), "palette-2-bits.png", bits=2)
    save(fading, "animated.webp", save_all=True, append_images=[fading.rotate(180)], lossless=True)
    save(small.quantize(64), "interlaced.gif", interlace=1)
    save(small.quantize(64), "transparent.gif", transparency=5)
    save(fading, "rgba.bmp")
    save(small.convert("1"), "bilevel.bmp")
    save(small.convert("CMYK"), "cmyk.tif")
    save(fading, "rgba.tif")
    save(Image.fromarray(gray16), "gray16.tif")
    save(small.convert("1"), "fax.tif", compression="group4")
    save(small, "packbits.tif", compression="packbits")
    save(small, "jpeg.tif", compression="jpeg")
    save(small, "big.tif", big_tiff=True)


def make_large_jpegs(photo: Image.Image) -> None:
    """Images with odd sides, and references for inputs that are decoded at 1/2, 1/4 and 1/8."""
    large = HERE / "large"
    large.mkdir(exist_ok=True)
    for sampling in ("444", "422", "420", "440", "411"):
        (large / f"{sampling}.jpg").write_bytes(
            imagecodecs.jpeg8_encode(np.asarray(photo), level=85, subsampling=sampling))
    photo.convert("L").save(large / "gray.jpg", quality=85)
    photo.save(large / "restart.jpg", quality=85, restart_marker_blocks=7)
    for path in sorted(large.glob("*.jpg")):
        for side in (72, 36, 18):
            reference(path, "bilinear", (side, side), 0.875).save(large / f"{path.stem}-{side}.png")


def adam7(pixels: np.ndarray) -> bytes:
    """The seven passes of an interlaced PNG."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [pixels[top::down, left::right] for left, top, right, down in passes]
    return b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)


def save(picture: Image.Image, name: str, **options: object) -> None:
    picture.save(PICTURES / name, **options)


def reference(path: Path, filter: str, input: tuple[int, int], ratio: float | None) -> Image.Image:
    """`input` is height and width; without a ratio the aspect ratio is ignored."""
    height, width = input
    picture = upright_rgb(path)
    if ratio is None:
        return picture.resize((width, height), FILTERS[filter])
    target = int(height / ratio)  # of the shorter side; references of this kind are square
    w, h = picture.size
    size = (target, target * h // w) if w <= h else (target * w // h, target)
    resized = picture.resize(size, FILTERS[filter])
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return resized.crop((left, top, left + width, top + height))


def upright_rgb(path: Path) -> Image.Image:
    picture = ImageOps.exif_transpose(Image.open(path))
    if path.name == "rgb16.png":  # Pillow keeps the high byte
        return picture.convert("RGB")
    if picture.mode.startswith("I;16"):  # as for PNG here; Pillow clips at 255
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in picture.getbands() or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, rows: bytes,
    color: int = 2, interlace: int = 0, after: bytes = b"",
) -> bytes:
    """`color` 2 is RGB and 6 is RGBA; `after` are the chunks after the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png16(pixels: np.ndarray) -> bytes:
    """RGB or RGBA with 16 bits per channel, which Pillow reads but does not write."""
    height, width, channels = pixels.shape
    rows = (pixels.astype(">u2") * 257).reshape(height, -1)
    color = 2 if channels == 3 else 6
    return png(width, height, 16, b"".join(b"\0" + row.tobytes() for row in rows), color)


def bomb(side: int) -> bytes:
    """A header that announces side x side pixels, followed by a few rows."""
    return png(side, side, 8, bytes(10_000))


if __name__ == "__main__":
    main()
