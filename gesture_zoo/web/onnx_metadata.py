"""The metadata of an ONNX file, read without ONNX.

An ONNX file is a Protocol Buffers message (https://protobuf.dev/programming-guides/encoding/): fields, each with a
number, a wire type and a value. Field 14 of a model holds one pair of metadata, with field 1 its key and field 2 its
value (onnx.proto: ModelProto.metadata_props). The network itself, field 7, is one field too, and is stepped over; so
the page needs no further package, whatever the size of the model.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import WeightsError

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST = 1 << 24  # bytes of one pair of metadata; what is longer is no ONNX file


def onnx_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of an ONNX file by key; a file that is missing or no ONNX file is a WeightsError.

    >>> onnx_metadata("no_such.onnx")
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: there is no file no_such.onnx
    """
    path = Path(path)
    if os.path.isdir(path):
        raise WeightsError(f"{path} is a folder: expected a file that 'gesture-zoo export' made of the model in it")
    if not os.path.isfile(path):
        raise WeightsError(f"there is no file {path}")
    with path.open("rb") as file:
        try:
            fields = [content for number, content in _fields(file, path.stat().st_size) if number == _METADATA_PROPS]
            pairs = [dict(_fields(io.BytesIO(content), len(content))) for content in fields]
            found = {pair.get(_KEY, b"").decode(): pair.get(_VALUE, b"").decode() for pair in pairs}
        except (EOFError, UnicodeDecodeError) as error:
            raise WeightsError(f"{path} is no ONNX file, or damaged: expected one from 'gesture-zoo export'") from error
    return found


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """The counted fields of a message of ``size`` bytes; the content of a large one (the network) is left out."""
    while file.tell() < size:
        number, wire = divmod(_varint(file), 8)
        if number == 0:
            raise EOFError("no field has the number 0")
        if wire == _VARINT:
            _varint(file)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            _exactly(file, 8 if wire == _EIGHT_BYTES else 4)
        elif wire == _COUNTED:
            length = _varint(file)
            if file.tell() + length > size:
                raise EOFError("a field ends after the file")
            if length > _LONGEST:
                file.seek(length, io.SEEK_CUR)
            else:
                yield number, _exactly(file, length)
        else:
            raise EOFError(f"there is no wire type {wire}")


def _varint(file: BinaryIO) -> int:
    """A number of seven bits a byte, the least first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = _exactly(file, 1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise EOFError("a number has more than ten bytes")


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError("the file ends in a field")
    return content
