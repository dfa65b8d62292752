"""Writes small pictures of every kind to corpus/TARGET, for each fuzz target.

    .venv/bin/python fuzz/seeds.py

Needs Pillow, which is in tests/python/requirements.txt.
"""

import io
import pathlib

from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "corpus"


def picture(mode: str, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height))
    image.putdata([((x * 7) % 256, (y * 11) % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    return image.convert(mode)


def jpegs() -> dict[str, bytes]:
    kinds: dict[str, bytes] = {}
    for mode in ["L", "RGB", "CMYK"]:
        for progressive in [False, True]:
            for sampling in [0, 1, 2] if mode == "RGB" else [0]:
                for name, more in [("plain", {}), ("restart", {"restart_marker_blocks": 2})]:
                    exif = Image.Exif()
                    exif[0x0112] = 6
                    stream = io.BytesIO()
                    picture(mode, 37, 29).save(
                        stream, "JPEG", quality=60, progressive=progressive, subsampling=sampling,
                        exif=exif if name == "plain" else b"", **more,
                    )
                    kinds[f"{mode}-{progressive}-{sampling}-{name}.jpg"] = stream.getvalue()
    return kinds


def others() -> dict[str, bytes]:
    kinds: dict[str, bytes] = {}
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]:
        for format, options in [
            ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("WEBP", {"lossless": True}),
            ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}),
            ("TIFF", {"compression": "packbits"}), ("TIFF", {"compression": "tiff_deflate"}),
            ("TIFF", {"compression": "group4"}),
        ]:
            stream = io.BytesIO()
            source = picture("L", 19, 13) if mode == "I;16" else picture(mode if mode != "I;16" else "L", 19, 13)
            try:
                source.save(stream, format, **options)
            except (OSError, ValueError, KeyError):
                continue
            kinds[f"{mode}-{format}-{'-'.join(map(str, options.values()))}"] = stream.getvalue()
    return kinds


def main() -> None:
    seeds = jpegs()
    for target, files in {
        "jpeg": seeds, "jpeg_reduced_vs_whole": seeds, "decode": seeds | others(),
    }.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        print(f"{folder}: {len(files)} seeds")


main()
