"""Damage that disks, broken connections and killed programs do to a file: random but repeatable."""

from __future__ import annotations

import random
from collections.abc import Callable


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return `content` damaged in one of the ways of `HARMS`; the bytes always differ."""
    while True:
        harmed = rng.choice(HARMS)(content, rng)
        if harmed != content:
            return harmed


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Return its beginning."""
    return content[: rng.randrange(len(content) + 1)]


def empty(content: bytes, rng: random.Random) -> bytes:
    """Return nothing: an unsynced file after a power cut."""
    return b""


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """Flip one to eight bits anywhere."""
    harmed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8)) if content else 0):
        harmed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(harmed)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a block with zeros, ones or noise."""
    start, end = _block(content, rng)
    filling = rng.choice((bytes(end - start), b"\xff" * (end - start), rng.randbytes(end - start)))
    return content[:start] + filling + content[end:]


def delete(content: bytes, rng: random.Random) -> bytes:
    """Delete a block."""
    start, end = _block(content, rng)
    return content[:start] + content[end:]


def duplicate(content: bytes, rng: random.Random) -> bytes:
    """Duplicate a block."""
    start, end = _block(content, rng)
    return content[:end] + content[start:]


def append(content: bytes, rng: random.Random) -> bytes:
    """Append up to 600 bytes."""
    return content + rng.choice((bytes, rng.randbytes))(rng.randint(1, 600))


HARMS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    truncate,
    empty,
    flip_bits,
    flip_bits,
    overwrite,
    delete,
    duplicate,
    append,
)


def _block(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 8, 64, 512, 4096)))
