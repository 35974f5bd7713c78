"""What can be chosen of export, by name: known without PyTorch, which takes seconds to import."""

from __future__ import annotations

# The formats, each with a writer of FORMATS (formats.py), and how the names of their files end.
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2", "executorch": ".pte"}

# How int8 finds the ranges of activations, as ONNX Runtime calls it.
METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}

# The largest difference of a logit from PyTorch's that a file may have, over the model's largest logit.
TOLERANCE = 1e-4
