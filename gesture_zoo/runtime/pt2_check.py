"""Opening a torch.export file (.pt2) without running what others may have put into it.

``torch.export.load`` unpickles what a file tells it to, evaluates text of it as Python and finds functions by name:
"never load data from an untrusted source". What ``export_model`` writes needs none of that: operators of ATen, tensors,
and sizes. A file that holds anything else is refused before PyTorch's loader sees it.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch

from ..errors import one_line
from .info import METADATA_KEY

# The members of an archive: the graph, tensors, the example inputs, the description, and what PyTorch notes of itself.
_MEMBERS = (
    r"archive_format|archive_version|byteorder|\.data/\w+|models/model\.json|data/(weights|constants|sample_inputs)/model\.pt|"
    r"data/weights/weight_\d+|data/constants/tensor_\d+|data/(weights|constants)/model_\w+_config\.json|"
    rf"extra/{METADATA_KEY}\.json"
)
_OPERATORS = (
    r"torch\.ops\.aten\.(?!(from_file|save)\b)\w+\.\w+|"  # two that open files
    r"_operator\.(getitem|add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge)"
)
_PLAIN = r"[\w.]*"
# Sizes: numbers, symbols of the batch, and arithmetic.
_SIZE = (
    r"(Symbol\('\w+'(, \w+=(True|False))*\)|\b(Integer|Add|Mul|Mod|FloorDiv|Max|Min|Eq|Ne)\b|\b\d+\b|[-+*/(), <>=])*"
)
# Conditions on the sizes of inputs, such as "L['states'][0].size()[0] == L['frame'].size()[0]".
_GUARD = r"(L\['\w+'\]|\[\d+\]|\.size\(\)|\b(and|or|not)\b|\b\d+\b|[-+*/%() <>=!])*"
# What older versions of PyTorch say where two sizes that should agree do not.
_ASSERTION = r"Runtime assertion failed for expression [\w(), <>=]+ on node '\w+'"
NAMES = r"[\w.+]*"  # of modules, parameters and what else a graph calls by name
# By the key that texts are under; "as_string" is what operators are told, such as the equation of an einsum.
_PATTERNS = {
    "target": _OPERATORS,
    "as_operator": _OPERATORS,
    "expr_str": _SIZE,
    "guards_code": _GUARD,
    "as_string": rf"[\w ,.>-]*|{_ASSERTION}",
}
_CONTAINERS = ("builtins.tuple", "builtins.list")


def load_program(path: str | Path) -> tuple[Any, str | None]:
    """The program in a file and its description; a file that cannot be read, or is not ours, is a ValueError."""
    try:
        from torch.export.pt2_archive._package import PT2ArchiveReader, load_pt2
    except ImportError as error:
        raise ValueError(f"PyTorch {torch.__version__} cannot open it safely: take 2.8 or later") from error
    data = Path(path).read_bytes()  # once: what is loaded is what was checked
    try:
        reader = PT2ArchiveReader(io.BytesIO(data))
        _check(reader)
        contents = load_pt2(io.BytesIO(data))
        return contents.exported_programs["model"], contents.extra_files.get(f"{METADATA_KEY}.json")
    except MemoryError:
        raise
    except Exception as error:  # damaged files end in whatever the byte that was hit leads to
        raise ValueError(one_line(error) or type(error).__name__) from error


def _check(reader: Any) -> None:
    """A ValueError if an archive holds what could run; read by PyTorch's reader, because another could find another."""
    for name in reader.get_file_names():
        if not re.fullmatch(_MEMBERS, name):
            raise ValueError(f"it holds {name[:80]!r}, which export_model does not write")
        if name.endswith("/model.pt"):
            # The loader does the same, but where that fails goes on to unpickle all there is.
            torch.load(io.BytesIO(reader.read_bytes(name)), map_location="cpu", weights_only=True)
        elif name.endswith("_config.json"):
            for entry in json.loads(reader.read_bytes(name))["config"].values():
                if entry["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
                    raise ValueError(f"it holds a pickle, {str(entry['path_name'])[:80]!r}, and is not opened")
    _check_graph(json.loads(reader.read_bytes("models/model.json")), "")


def _check_graph(value: Any, key: str) -> None:
    """A ValueError for any text in a graph that is more than a name, an operator of ATen or a size."""
    if isinstance(value, dict):
        for name, part in value.items():
            if not re.fullmatch(_PLAIN, name) or (name in ("as_custom_obj", "custom_obj") and part is not None):
                raise ValueError(f"its graph holds {name[:80]!r}, which export_model does not write")
            # What is written of a node for people is not used.
            if not (name == "metadata" and isinstance(part, dict) and all(isinstance(v, str) for v in part.values())):
                _check_graph(part, name)
    elif isinstance(value, list):
        for part in value:
            _check_graph(part, key)
    elif isinstance(value, str):
        if key in ("in_spec", "out_spec"):
            _check_structure(json.loads(value)[1] if value else None)
        elif not re.fullmatch(_PATTERNS.get(key, NAMES), value) or "**" in value:
            raise ValueError(f"its graph holds {value[:80]!r}, which export_model does not write")


def _check_structure(spec: Any) -> None:
    """A ValueError for a structure of inputs or outputs that is more than tuples, lists and words."""
    if spec is None or spec["type"] is None:
        return
    context = spec["context"]
    words = json.loads(context) if spec["type"] == "builtins.dict" else []
    if spec["type"] not in (*_CONTAINERS, "builtins.dict") or (not words and context not in (None, "null", "[]")):
        raise ValueError(f"its graph takes or gives a {str(spec['type'])[:80]!r}, which export_model does not write")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"its graph takes or gives {str(context)[:80]!r}, which export_model does not write")
    for part in spec["children_spec"]:
        _check_structure(part)
