"""The page's event detector is that of gesture_zoo.live, in JavaScript."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from web_node import run_node

from gesture_zoo.live.events import EventDetector

LABELS = ["wave", "push", "pull", "no_gesture"]
SCRIPT = """
    const { EventDetector } = await load("events.js");
    print(data.map(({ labels, parameters, logits, times }) => {
      const detector = new EventDetector(labels, parameters);
      const frames = logits.map((values, i) => {
        const events = detector.update(values, times[i]);
        return { events, active: detector.active, scores: [...detector.scores] };
      });
      return { frames, flushed: detector.flush(), after: detector.active };
    }));
"""


def wandering_logits(rng: np.random.Generator, frames: int = 80) -> np.ndarray:
    """(frames, K): every few frames another class is the likeliest, by a margin that is sometimes small."""
    best = np.repeat(rng.integers(0, len(LABELS), frames), rng.integers(1, 9, frames))[:frames]
    return rng.normal(0, 0.7, (frames, len(LABELS))) + np.eye(len(LABELS))[best] * rng.uniform(0, 5, (frames, 1))


def in_python(case: dict) -> dict:
    detector, frames = EventDetector(case["labels"], **case["parameters"]), []
    for logits, time in zip(case["logits"], case["times"], strict=True):
        events = [asdict(event) for event in detector.update(logits, time)]
        active = detector.active and asdict(detector.active)
        frames.append({"events": events, "active": active, "scores": detector.scores.tolist()})
    return {"frames": frames, "flushed": [asdict(event) for event in detector.flush()], "after": None}


def test_javascript_and_python_detect_the_same_events() -> None:
    rng = np.random.default_rng(0)
    cases = []
    for i in range(150):
        off = float(rng.uniform(0.2, 0.6))
        parameters = {
            "no_gesture": [["no_gesture"], [], ["push", "pull"]][i % 3],
            "smoothing": ["ema", "majority", "none"][int(rng.integers(3))],
            "window": int(rng.integers(1, 7)),
            "on": float(rng.uniform(off, 0.9)),
            "off": off,
            "min_frames": int(rng.integers(1, 4)),
            "release": int(rng.integers(1, 4)),
            "min_duration": float(rng.choice([0.0, 0.2])),
            "max_gap": float(rng.choice([0.18, 2.0])),
        }
        times = np.cumsum(rng.uniform(0.01, 0.2, 80))
        cases.append(
            {
                "labels": LABELS,
                "parameters": parameters,
                "logits": wandering_logits(rng).tolist(),
                "times": times.tolist(),
            }
        )
    wanted = [in_python(case) for case in cases]
    assert sum(len(frame["events"]) for case in wanted for frame in case["frames"]) > 500
    for answer, expected in zip(run_node(SCRIPT, cases), wanted, strict=True):
        assert same(answer, expected)


def same(a: object, b: object) -> bool:
    """Equal, but for the last bits of floating-point numbers: an exponential is not rounded alike everywhere."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == (pytest.approx(b, rel=1e-12, abs=1e-15) if isinstance(b, float) else b)


def test_large_logits_and_ties_are_as_in_python() -> None:
    parameters = {"no_gesture": ["no_gesture"], "smoothing": "none", "window": 1, "on": 0.5, "off": 0.5}
    parameters |= {"min_frames": 1, "release": 1, "min_duration": 0, "max_gap": 2}
    logits = [[1000, 0, 0, 0], [0, 700, 700, -700], [-1e30, 0, 0, 1e30], [5, 5, -1000, -1000]]
    case = {"labels": LABELS, "parameters": parameters, "logits": logits, "times": [0, 0, 1, 2]}
    (answer,) = run_node(SCRIPT, [case])
    assert same(answer, in_python(case))
    # Of two equal classes the first is on.
    assert [frame["active"] and frame["active"]["label"] for frame in answer["frames"]] == [
        "wave",
        "push",
        None,
        "wave",
    ]
