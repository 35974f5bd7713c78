"""Hostile inputs for fuzz.py: texts, numbers and structures that are known to break readers, and damaged good files.

A part takes an input or refuses it with an error of the library; whatever else comes out is a fault.
"""

import json
import string
import struct
import sys
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from gesture_zoo.errors import GestureZooError

Make = Callable[[Random], Any]


class Part(NamedTuple):
    """What makes inputs, and what reads one: it returns, or raises a GestureZooError."""

    make: Make
    read: Callable[[Any], object]


def outcome(part: Part, given: Any) -> str:
    """What becomes of an input: "taken", or the library's error that refuses it; anything else is raised on."""
    try:
        part.read(given)
    except GestureZooError as error:
        return type(error).__name__
    return "taken"


def in_turn(*readers: Callable[[], object]) -> None:
    """Call several readers of one input; where some refuse it, that is raised at the end."""
    fault: GestureZooError | None = None
    for reader in readers:
        try:
            reader()
        except GestureZooError as error:
            fault = error
    if fault is not None:
        raise fault


NASTY = (
    "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "..\\..\\secret", "C:\\secret", "\\\\host\\share", "a\0b",
    "\ud800", "\udc80", "\u202e", "\r\n", "\x85", "\ufeff", "a" * 300, "é" * 400, "~", "~x/y",
    "/".join(["漢" * 60] * 30),
    "%2e%2e%2f", "%00", "%s%n", "{0.__class__}", "${HOME}", "$(touch harm)", "`touch harm`", "os.system",
    "__import__('os').system('touch harm')", "builtins:eval", "pipe:touch harm", "file:///etc/passwd", "http://[",
    "hf-hub:a/b", "local-dir:..", "nan", "-nan", "inf", "1e999", "-1", "0x10", "1_000", "²", "٣", "9" * 400, "9" * 5000,
    "*" * 60, "[!a-", "!!python/object/apply:os.system ['touch harm']", "&a [*a]", "---", "---\nlicense: mit\n---",
    "|", ",,", '"', "'", "#", "<script>", "\x1b[2J", "package:../x",
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, -1, 10**6, 10**9, 2**31, 2**63, 10**30, 10**400, -(10**400), 0.5, 1.5, -0.0, 1e-320, 1e308,
    float("inf"), float("nan"), float("-inf"), True, False, None,
)  # fmt: skip
_JUNK = (
    b"..", b"/", b"\\", b"-1", b"9" * 300, b'"', b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"[" * 3000, b"{", b"}", b"\n",
    b",", b"1e999", b"|", b":", b"*a",
)  # fmt: skip
# Python gives up on lists in lists between 900 and 1000.
_DEPTHS = (100, 300, 500, 900, 960, 980, 990, 100_000)
_DTYPES = (
    "F32", "F64", "F16", "BF16", "I64", "I8", "U8", "BOOL", "U16", "U32", "U64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4",
    "F6_E2M3", "F6_E3M2", "C64", "X",
)  # fmt: skip


def text(rng: Random) -> str:
    """A text that is known to break readers, or a short one of any characters."""
    if rng.random() < 0.5:
        return rng.choice(NASTY)
    alphabets = (string.printable, string.printable, "äß漢🤚\u0301\u200d", "")
    chosen = [rng.choice(alphabets) for _ in range(rng.randrange(10))]
    return "".join(rng.choice(part) if part else chr(rng.randrange(sys.maxunicode + 1)) for part in chosen)


def joined(*pieces: str, most: int = 4) -> Make:
    """Texts made of some of these pieces and of others."""
    return lambda rng: "".join(rng.choice((*pieces, text(rng))) for _ in range(rng.randrange(most + 1)))


def leaf(rng: Random) -> Any:
    """A number or text of JSON."""
    kind = rng.randrange(4)
    if kind < 2:
        return rng.choice(NUMBERS) if kind else text(rng)
    return rng.randint(-300, 300) if kind == 2 else rng.uniform(-3, 3)


def value(rng: Random) -> Any:
    """A value of JSON; "@deep@" stands for lists in lists."""
    kind = rng.randrange(8)
    if kind == 0:
        return [leaf(rng) for _ in range(rng.randrange(5))]
    if kind == 1:
        return {text(rng): leaf(rng) for _ in range(rng.randrange(4))}
    return "@deep@" if kind == 2 else leaf(rng)


def as_json(document: Any, depth: int = 900) -> bytes:
    """A document as JSON, with lists in lists where it says so."""
    return json.dumps(document).encode().replace(b'"@deep@"', b"[" * depth + b"]" * depth)


def either(*makes: Make) -> Make:
    """What one of several makes."""
    return lambda rng: rng.choice(makes)(rng)


def damaged(*contents: bytes) -> Make:
    """One of these contents with a few stretches replaced; now and then bytes of any kind."""

    def make(rng: Random) -> bytes:
        if rng.random() < 0.1:
            return rng.randbytes(rng.randrange(80))
        content = bytearray(rng.choice(contents))
        for _ in range(rng.randint(1, 3)):
            start = rng.randint(0, len(content))
            stop = min(len(content), start + rng.randrange(7))
            content[start:stop] = rng.choice(_JUNK) if rng.random() < 0.5 else rng.randbytes(rng.randrange(6))
        return bytes(content)

    return make


def edited(document: dict[str, Any], other: Make = value) -> Make:
    """A JSON document with one to three of its entries replaced, left out, or added."""
    plain = json.dumps(document)

    def make(rng: Random) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(plain)
        for _ in range(rng.randint(1, 3)):
            place: Any = copy
            while place:
                key = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
                if isinstance(place[key], (dict, list)) and rng.random() < 0.6:
                    place = place[key]
                    continue
                what = rng.randrange(6)
                if what == 0:
                    del place[key]
                elif what == 1 and isinstance(place, dict):
                    place[text(rng)] = other(rng)
                else:
                    place[key] = other(rng)
                break
        return copy

    return make


def json_files(document: dict[str, Any]) -> Make:
    """A JSON document as a file, edited, and now and then damaged."""
    broken, changed = damaged(json.dumps(document).encode()), edited(document)
    return lambda rng: broken(rng) if rng.random() < 0.2 else as_json(changed(rng), rng.choice(_DEPTHS))


def safetensors_files(header: dict[str, Any]) -> Make:
    """A safetensors file with a header that was edited, or whose bytes or length were damaged."""

    def field(rng: Random) -> Any:
        sizes = [rng.randint(-1, 40) for _ in range(rng.randrange(5))]
        return rng.choice((value(rng), rng.choice(_DTYPES), sizes))

    changed = edited(header, field)

    def make(rng: Random) -> bytes:
        said = as_json(changed(rng)) + b" " * rng.choice((0, 0, 1, 8))
        others = (0, 1, len(said) + 1, 10**8 + 1, 2**63, 2**64 - 1)
        length = rng.choice(others) if rng.random() < 0.2 else len(said)
        content = struct.pack("<Q", length) + said + bytes(rng.choice((32, 32, 32, 0, 31, 33)))
        return damaged(content)(rng) if rng.random() < 0.2 else content

    return make


def safetensors(header: Any, size: int) -> bytes:
    """A safetensors file of ``size`` bytes of zeros."""
    said = json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + bytes(size)


def onnx(metadata: bytes, key: str) -> bytes:
    """An ONNX file of nothing but metadata and a stub of a graph, as Protocol Buffers write it."""

    def varint(number: int) -> bytes:
        content = b""
        while number > 0x7F:
            content += bytes([number & 0x7F | 0x80])
            number >>= 7
        return content + bytes([number])

    def counted(number: int, content: bytes) -> bytes:
        return varint(number * 8 + 2) + varint(len(content)) + content

    return b"\x08\x0a" + counted(7, bytes(9)) + counted(14, counted(1, key.encode()) + counted(2, metadata))
