"""Unpacks the images of source packages' tests into one folder, without duplicates. Called by scripts/odd-images."""

import hashlib
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

LARGEST = 20 << 20
TESTS = re.compile(
    r"/(\w*tests?|testsuite|test-suite|testdata|test-images|pngsuite|testpngs|exif|t|prog|poc|ext|images)/", re.IGNORECASE
)
BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


def main() -> None:
    packages, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for package in sorted(packages.iterdir()):
        before = len(seen)
        for archive in sorted(package.glob("*.tar.*")):
            if archive.suffix in (".gz", ".xz", ".bz2"):
                for content in images(archive):
                    digest = hashlib.sha256(content).hexdigest()
                    if digest not in seen:
                        seen.add(digest)
                        name = f"{package.name}-{digest[:16]}.{kind(content)}"
                        (folder / name).write_bytes(content)
        print(f"{package.name:<32}{len(seen) - before:>6}")
    print(f"{folder}: {len(seen)} files")


def images(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive, "r|*") as members:
        for member in members:
            if member.isreg() and member.size <= LARGEST and TESTS.search(member.name):
                content = members.extractfile(member).read()
                if kind(content):
                    yield content


def kind(content: bytes) -> str | None:
    """The format by the first bytes, of those that resnetd decodes."""
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if content.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "webp"
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in BMP_HEADERS:
        return "bmp"
    return None


main()
