"""Writes models/imagenet-1k/classes.tsv: ImageNet-1k's classes and their hypernyms in WordNet.

    scripts/venv .venv-models scripts/model-matrix.txt
    .venv-models/bin/python training/imagenet_classes.py --wordnet /usr/share/wordnet/data.noun

`data.noun` is from WordNet 3.0; Debian's package wordnet-base has it. The synsets of the classes, in
the order of the networks' outputs, are from timm.

A line is `id<TAB>name<TAB>ids of its hypernyms, separated by commas`. The first 1,000 lines are
the classes in order; the others are all their hypernyms.
"""

import argparse
from collections import Counter
from pathlib import Path

from timm.data import ImageNetInfo

OUTPUT = Path(__file__).parent.parent / "models/imagenet-1k/classes.tsv"


def read_nouns(path):
    """Parses the synsets of a WordNet data file: first name and hypernyms by id (wndb(5WN))."""
    nouns = {}
    for line in path.read_text().splitlines():
        if line.startswith(" "):
            continue  # the licence
        fields = line.split(" | ")[0].split()
        words = int(fields[3], 16)
        pointers = fields[4 + 2 * words :]
        hypernyms = [
            f"n{pointers[at + 1]}"
            for at in range(1, 1 + 4 * int(pointers[0]), 4)
            if pointers[at] in ("@", "@i")
        ]
        nouns[f"n{fields[0]}"] = (fields[4].replace("_", " "), hypernyms)
    return nouns


def names_of(ids, nouns):
    """Each class's first name; if it is not unique, followed by the first hypernym in brackets."""
    shared = Counter(nouns[id][0] for id in ids)
    for id in ids:
        name, hypernyms = nouns[id]
        yield name if shared[name] == 1 else f"{name} ({nouns[hypernyms[0]][0]})"


def ancestors(ids, nouns):
    """All hypernyms of `ids`, direct ones first."""
    found, frontier = dict.fromkeys(ids), list(ids)
    while frontier:
        above = [up for id in frontier for up in nouns[id][1] if up not in found]
        frontier = list(dict.fromkeys(above))
        found.update(dict.fromkeys(frontier))
    return list(found)[len(ids) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, required=True, metavar="data.noun")
    nouns = read_nouns(parser.parse_args().wordnet)
    ids = ImageNetInfo("imagenet-1k").label_names()
    assert len(ids) == 1000 and ids == sorted(ids)
    rows = list(zip(ids, names_of(ids, nouns)))
    rows += [(id, nouns[id][0]) for id in ancestors(ids, nouns)]
    lines = [f"{id}\t{name}\t{','.join(nouns[id][1])}\n" for id, name in rows]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text("".join(lines))
    print(f"{OUTPUT}: {len(ids)} classes, {len(rows)} synsets")


if __name__ == "__main__":
    main()
