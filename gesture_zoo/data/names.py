"""What can be chosen of data, by name: known without PyTorch, which takes seconds to import."""

from __future__ import annotations

# The datasets that are read from files, each by a class of READERS (factory.py).
READER_NAMES = ("egogesture", "folder", "isogd", "jester", "nvgesture")
DATASETS: tuple[str, ...] = tuple(sorted([*READER_NAMES, "shards", "synthetic"]))

# What a network of so many input channels sees of a clip.
MODALITIES = {3: "RGB", 1: "depth", 4: "RGB and depth"}

# In one file that prepare writes.
CLIPS_PER_SHARD = 100
