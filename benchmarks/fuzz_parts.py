"""Everything that reads what others wrote, part by part, for fuzz.py and tests/test_hostile.py."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fuzz_data
import fuzz_models
import fuzz_names
from fuzz_inputs import Part

# Every part by name; each gets a folder of its own, and pytest's MonkeyPatch.
PARTS: dict[str, Callable[[Path, Any], Part]] = {
    **{f"{name} annotation": partial(fuzz_data.annotation, name) for name in fuzz_data.ANNOTATIONS},
    "classes.txt": partial(fuzz_data.beside_clips, "classes.txt", "wave\nfist\n"),
    "flips.csv": partial(fuzz_data.beside_clips, "flips.csv", "wave,fist\nwave,wave\n"),
    "shard index": fuzz_data.shard_index,
    "class names": fuzz_data.class_names,
    "recipe": fuzz_data.recipe,
    "config.json": fuzz_models.config,
    "config.json, model built": fuzz_models.built,
    "safetensors": fuzz_models.tensors,
    "checkpoint of a run": fuzz_models.training_state,
    "ModelInfo": fuzz_models.info,
    "ONNX metadata": fuzz_models.onnx_file,
    "results file": fuzz_data.results,
    "model card": fuzz_models.card,
    "command line": fuzz_names.command_line,
    "model names": fuzz_names.model_names,
    "URLs": fuzz_names.urls,
    "Hub names": fuzz_names.repositories,
    "file names": fuzz_names.file_names,
}
