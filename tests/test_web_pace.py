"""The page takes frames by their times."""

from __future__ import annotations

import numpy as np
import pytest
from web_node import run_node


def taken(times: object, rate: float | None) -> list[float]:
    script = """
        const { Pace } = await load("pace.js");
        const pace = new Pace(data.rate);
        print(data.times.filter((time) => pace.isDue(time) && (pace.take(time), true)));
    """
    return run_node(script, {"rate": rate, "times": np.asarray(times).tolist()})


def test_of_every_step_the_first_frame_is_taken() -> None:
    times = np.arange(300) / 30
    assert len(taken(times, None)) == 300
    assert taken(times, 10) == times[::3].tolist()
    assert len(taken(times, 12)) == 120
    assert taken(times[::3], 30) == times[::3].tolist()


@pytest.mark.parametrize("rate", [10, 12, 30])
def test_a_camera_s_jitter_loses_no_frame(rate: float) -> None:
    times = np.arange(300) / 30 + np.random.default_rng(0).normal(0, 0.002, 300)
    frames = taken(times, rate)
    assert len(frames) == pytest.approx(10 * rate, abs=2)
    assert np.diff(frames).max() < 1 / rate + 0.05


def test_a_gap_is_not_made_up_for() -> None:
    assert taken([0.0, 0.1, 0.2, 5.0, 5.03, 5.06, 5.1, 5.2], 10) == [0.0, 0.1, 0.2, 5.0, 5.1, 5.2]
