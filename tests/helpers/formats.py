"""The same pairs in each format that holds both sides, and in each packing."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from xml.sax.saxutils import escape

from translate.data.parallel_text import Pair

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
  <header creationtool="x" srclang="en" adminlang="en" datatype="plaintext" segtype="sentence" o-tmf="x"/>
  <body>
{}  </body>
</tmx>
"""
UNIT = """    <tu>
      <tuv xml:lang="en"><seg>{}</seg></tuv>
      <tuv xml:lang="fr-FR"><seg>{}</seg></tuv>
    </tu>
"""


def tmx(pairs: Sequence[Pair]) -> str:
    return TMX.format("".join(UNIT.format(*map(escape, pair)) for pair in pairs))


def csv_text(pairs: Sequence[tuple[str, str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows(pairs)
    return stream.getvalue()


def opus_zip(pairs: Sequence[Pair]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "README", "LICENSE", "corpus.en-fr.ids":
            archive.writestr(name, "about\n")
        for side, language in enumerate(("en", "fr")):
            archive.writestr(f"corpus.en-fr.{language}", "".join(f"{pair[side]}\n" for pair in pairs))
    return stream.getvalue()


def in_each_format(pairs: Sequence[Pair]) -> dict[str, bytes]:
    """Return the content of files by their names. Texts contain no tabs and no line breaks."""
    tabs = "".join(f"{src}\t{tgt}\n" for src, tgt in pairs)
    records = [{"en": src, "fr": tgt} for src, tgt in pairs]
    texts = {
        "plain.tsv": tabs,
        "header.tsv": f"en\tfr\n{tabs}",
        "plain.csv": csv_text(pairs),
        "header.csv": csv_text([("en", "fr"), *pairs]),
        "nested.jsonl": "".join(f"{json.dumps({'id': 1, 'translation': record})}\n" for record in records),
        "flat.jsonl": "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records),
        "memory.tmx": tmx(pairs),
    }
    wide = {"wide.tmx": tmx(pairs).replace("UTF-8", "UTF-16").encode("utf-16")}
    wide |= {f"wide.{name}": f"\ufeff{texts[f'header.{name}']}".encode("utf-16-be") for name in ("tsv", "csv")}
    return {name: text.encode() for name, text in texts.items()} | wide | {"en-fr.txt.zip": opus_zip(pairs)}


def packings() -> dict[str, Callable[[bytes], bytes]]:
    """Return what packs text, by the ending of the file's name."""
    found = {".gz": partial(gzip.compress, mtime=1), ".bz2": bz2.compress, ".xz": partial(lzma.compress, preset=0)}
    with suppress(ImportError):
        import zstandard

        found[".zst"] = zstandard.ZstdCompressor(write_checksum=True).compress
    return found
