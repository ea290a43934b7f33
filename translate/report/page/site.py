"""A page as a folder for a static host: with it come a service worker, a manifest and icons.

After one visit the page opens without a network, and phones can install it. All addresses are relative, so that the
folder works under any path of a host.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import numpy as np

from translate.errors import UserError
from translate.report.colours import ON_PAPER, WHITE, colour
from translate.report.figure import load_matplotlib
from translate.system.files import atomic_folder, open_regular

POLICY = re.compile(r'(?<=http-equiv="Content-Security-Policy" content=")[^"]*')
# Each visit looks for another export. Without a network, or opened from disk, there is none to find.
START = 'navigator.serviceWorker?.register("service-worker.js").then((kept) => kept.update()).catch(() => {});'
HEAD = f"""<link rel="manifest" href="manifest.webmanifest">
<link rel="icon" href="icon-192.png" sizes="192x192">
<link rel="apple-touch-icon" href="apple-touch-icon.png">
<script>{START}</script>
"""
MARK = '<meta name="generator" content="translate export">\n'  # before <title> in pages that another export may replace
PAPER = "#ffffff"
# The cross-attention of five words, of which the second and third change places, in tenths.
MAP = [(8, 4, 2, 1, 1), (2, 4, 8, 1, 1), (2, 9, 4, 1, 1), (1, 1, 3, 10, 2), (1, 1, 2, 2, 10)]


# The width of each icon and of its map in pixels, and its purpose, if the manifest lists it. Launchers cut off what is
# outside a circle of 80% of a maskable icon.
ICONS = {
    "icon-192.png": (192, 168, "any"),
    "icon-512.png": (512, 448, "any"),
    "icon-maskable-512.png": (512, 288, "maskable"),
    "apple-touch-icon.png": (180, 132, ""),
}
NAMES = {"index.html", "manifest.webmanifest", "service-worker.js", *ICONS}  # of all files in the folder


def is_export(path: Path) -> bool:
    """Whether this is a page with the mark, or a folder with such a page and nothing else that is not of an export."""
    if path.is_dir():
        return {entry.name for entry in path.iterdir()} <= NAMES and is_export(path / "index.html")
    with suppress(OSError, UserError), open_regular(path) as stream:
        return MARK.encode() in stream.read(4096)
    return False


def write_site(folder: Path, title: str, page: str) -> int:
    """Write a page and what belongs to it to a folder that is new, empty or an export. Returns its size in bytes.

    The folder appears when it is complete. Raises UserError if it contains other files or cannot be written.
    """
    contents = {"index.html": _linked(page).encode(), "manifest.webmanifest": _manifest(title).encode()}
    contents |= {name: _icon(size, map_size) for name, (size, map_size, _) in ICONS.items()}
    contents["service-worker.js"] = _service_worker(contents).encode()
    with atomic_folder(folder, "index.html" if is_export(folder) else None) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)
    return sum(map(len, contents.values()))


def _linked(page: str) -> str:
    """Return the page with links to the other files, which its Content-Security-Policy allows."""
    found = POLICY.search(page)
    assert found
    policy = dict(directive.strip().partition(" ")[::2] for directive in found[0].split(";"))
    additions = dict.fromkeys(("img-src", "manifest-src", "worker-src"), "'self'")
    for name, source in (additions | {"script-src": f"'{_integrity(START.encode())}'"}).items():
        policy[name] = f"{policy.get(name, '')} {source}".strip()
    allowed = "; ".join(f"{name} {sources}" for name, sources in policy.items())
    return POLICY.sub(lambda _: allowed, page, count=1).replace("</head>", f"{HEAD}</head>", 1)


def _service_worker(contents: dict[str, bytes]) -> str:
    """Return the service worker that keeps these files. It differs if any of them does, so browsers replace it."""
    names = {name: "./" if name == "index.html" else name for name in contents}
    digests = {names[name]: _integrity(content) for name, content in contents.items()}
    code = files("translate.report.page").joinpath("assets", "service_worker.js").read_text(encoding="utf-8")
    return f'"use strict";\nconst FILES = {json.dumps(digests, indent=2)};\n\n{code}'


def _integrity(content: bytes) -> str:
    """Return the SHA-256 as in policies and requests."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def _manifest(title: str) -> str:
    icons = [
        {"src": name, "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for name, (size, _, purpose) in ICONS.items()
        if purpose
    ]
    values = {"name": title, "start_url": ".", "scope": ".", "display": "standalone", "icons": icons}
    return json.dumps(values | {"background_color": PAPER, "theme_color": PAPER}, indent=2)


def _icon(size: int, map_size: int) -> bytes:
    """Return an icon as PNG: the map in the middle, with gaps between its cells."""
    load_matplotlib()
    from matplotlib.image import imsave

    pixels = np.full((size, size, 3), WHITE, np.uint8)
    step, gap, start = map_size // len(MAP), map_size // 80, (size - map_size) // 2
    for i, row in enumerate(MAP):
        for j, weight in enumerate(row):
            top, left = start + i * step, start + j * step
            pixels[top + gap : top + step - gap, left + gap : left + step - gap] = colour(weight / 10, ON_PAPER)
    content = io.BytesIO()
    imsave(content, pixels, format="png", metadata={"Software": "translate"})
    return content.getvalue()
