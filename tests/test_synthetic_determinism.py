"""The synthetic clips are the same to the last bit on every machine. Run as a script, this prints their digests."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from gesture_zoo.data import exact
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures, render_clip

# sha256 of what `digests` renders. A change of any picture changes them: then the version of every result that
# was trained on the clips changes too, so do not record new ones lightly.
RECORDED = {
    "rgb": "4f2a825255eee48deb8cb137c8ed936002020d6bb098579993d82f686a6b10e4",
    "exact depth": "6b708ffa03cb7851cd018a7c61ad4b74a457269774cc599b4db3e5d2f81e57a5",
    "sensor depth": "6502edc4d6c76e9d91f36f0b07d58de4182fd82a05128f8e99a99d63cc69b04f",
    "sensor valid": "123a7a32f204a58f0743d2931020dd10e215b3b0d4f362c7f0be2897494d2937",
}


def digests() -> dict[str, str]:
    """sha256 of one clip of every class, and of one that is not square."""
    hashes = {name: hashlib.sha256() for name in RECORDED}
    options = {"num_segments": 4, "size": 48, "num_clips": len(SYNTHETIC_CLASSES), "seed": 1}
    for measured, plain in zip(SyntheticGestures(**options), SyntheticGestures(sensor=False, **options), strict=True):
        hashes["rgb"].update(measured.frames.numpy())
        hashes["exact depth"].update(plain.depth.numpy().astype("<f4"))
        hashes["sensor depth"].update(measured.depth.numpy().astype("<f4"))
        hashes["sensor valid"].update(measured.valid.numpy())
    rgb, depth = render_clip(1, seed=2**40, num_frames=3, size=(40, 72))
    hashes["rgb"].update(rgb)
    hashes["exact depth"].update(depth.astype("<f4"))
    return {name: found.hexdigest() for name, found in hashes.items()}


def dispatched_features() -> list[str]:
    """The instruction sets of this processor that numpy has code for and does not need."""
    package = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    umath = importlib.import_module(f"{package}._multiarray_umath")
    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


def test_the_clips_are_the_recorded_ones():
    assert digests() == RECORDED


def test_the_instruction_set_and_the_threads_do_not_matter():
    features = dispatched_features()
    if not features:
        pytest.skip("numpy has no code for special instructions of this processor")
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features), "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"features": [], "digests": RECORDED}


@pytest.mark.parametrize("towards", [-math.inf, math.inf])
def test_the_last_bit_of_the_mathematical_library_does_not_matter(monkeypatch, towards):
    for name in ("sin", "cos"):
        function = getattr(math, name)
        monkeypatch.setattr(math, name, lambda x, function=function: math.nextafter(function(x), towards))
    assert digests() == RECORDED


def test_no_inexact_operation_on_arrays(monkeypatch):
    """None of numpy's functions whose result depends on the processor or on BLAS is called."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an operation on arrays that is not the same everywhere")

    for name in (
        "sin cos tan arcsin arccos arctan arctan2 hypot exp exp2 expm1 log log2 log1p log10 power tanh "
        "dot inner outer matmul einsum tensordot vdot interp convolve correlate mean average std var sum cumsum"
    ).split():
        monkeypatch.setattr(np, name, refuse)
    monkeypatch.setattr(np.linalg, "norm", refuse)
    assert digests() == RECORDED


def test_the_draws_are_what_they_should_be():
    rng = np.random.default_rng(0)
    drawn = exact.normal(rng, 200_000)
    assert drawn.dtype == np.float32
    assert abs(drawn.mean()) < 0.01 and abs(drawn.std() - 1) < 0.01
    assert 3.5 < np.abs(drawn).max() < 3.7
    # The share within one standard deviation tells a normal distribution from a uniform or a triangular one.
    assert abs((np.abs(drawn) < 1).mean() - 0.6827) < 0.005
    # The same numbers as numpy's where its compiler does not fuse.
    assert exact.uniform(np.random.default_rng(4), -2.0, 5.0, 9) == pytest.approx(
        np.random.default_rng(4).uniform(-2.0, 5.0, 9), abs=1e-14
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"features": dispatched_features(), "digests": digests()}))
