"""Frame by frame is the same as a clip, and streams know nothing of each other."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import pytest
import timm
import torch
from test_golden import ONLINE, official_state_dict
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import gesture_zoo
from gesture_zoo.errors import ModelError
from gesture_zoo.layers import TEMPORAL, TemporalModule
from gesture_zoo.models.family import build
from gesture_zoo.streaming import CausalStream, SlidingStream, to_streaming

T, SIDE = 6, 48
CAUSAL = [*gesture_zoo.list_models("*_online"), "tea_res2net50_26w_4s_online", "me_test_resnet_online"]


def create(name: str) -> nn.Module:
    model = gesture_zoo.create_model(name, num_classes=5, num_segments=T)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # temporal parts away from their start, so that every one of them counts
        for module in model.modules():
            if isinstance(module, TemporalModule):
                for parameter in module.parameters():
                    parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def frames(streams: int = 2) -> Tensor:
    return torch.rand(streams, T, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def clip_logits(model: nn.Module, clip: Tensor) -> Tensor:
    """The clip forward's logits of every frame, (N, T, K)."""
    return model.base_model(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])


@pytest.mark.parametrize("name", CAUSAL)
def test_streamed_logits_are_the_clips(name: str) -> None:
    # In double precision: random MobileNets multiply float32's rounding a thousandfold.
    model, clip = create(name).double(), frames().double()
    expected = clip_logits(model, clip)
    stream = to_streaming(model)
    assert isinstance(stream, CausalStream)
    streamed = torch.stack([stream.step(clip[:, t]) for t in range(T)], dim=1)
    torch.testing.assert_close(streamed, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    assert model.num_segments == T, "the model itself is as it was"


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.two(self.one(x).relu())).relu()


class SharedBlock(nn.Module):
    """A network whose only block runs twice, as weights are shared, and that keeps a tensor which is no buffer."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, channels, 3, stride=4), Block(channels)
        self.fc = nn.Linear(channels, 5)
        self.mean = torch.full((1, 3, 1, 1), 0.4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.block(self.block(self.stem(x - self.mean))).mean((2, 3)))


@pytest.mark.parametrize("temporal", ["tsm", "me", "action"])
def test_a_module_that_is_called_twice_keeps_the_past_of_either_call(temporal: str) -> None:
    model, clip = gesture_zoo.with_temporal(SharedBlock(), temporal, num_segments=T, causal=True).eval(), frames()
    stream = to_streaming(model)
    streamed = torch.stack([stream.step(clip[:, t]) for t in range(T)], dim=1)
    torch.testing.assert_close(streamed, clip_logits(model, clip), rtol=1e-4, atol=1e-5)
    # That of its start is found by a run with its own tensor, too: the meta device has none.
    state = stream.initial_state(2, (SIDE, SIDE))
    for t in range(T):
        logits, state = stream.step(clip[:, t], state)
        torch.testing.assert_close(logits, streamed[:, t])


def test_a_network_too_narrow_to_shift_has_no_state_of_it(tmp_path: Path) -> None:
    model = gesture_zoo.with_temporal(SharedBlock(5), "tsm", causal=True).eval()  # an eighth of 5 channels is none
    assert not to_streaming(model).initial_state(1, (SIDE, SIDE))
    report = gesture_zoo.export_model(model, tmp_path / "step.pt2", stream=True, size=(SIDE, SIDE))
    assert report.info.states == () and report.max_error < report.tolerance


def test_what_cannot_be_copied_is_said() -> None:
    net = SharedBlock()
    net.lock = threading.Lock()
    with pytest.raises(ModelError, match="cannot copy this ClipModel .*lock.* holds something that is no part of a mo"):
        to_streaming(gesture_zoo.with_temporal(net, "tsm", causal=True))


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_model_does_not_see_the_future(name: str) -> None:
    model, clip = create(name), frames()
    changed = clip.clone()
    changed[:, 3:] = 0
    before, after = clip_logits(model, clip), clip_logits(model, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
    alone = clip_logits(model, clip.flip(1))
    assert not torch.allclose(before[:, 0], alone[:, -1], rtol=1e-4), "the past counts"


@pytest.mark.parametrize("temporal", [name for name in TEMPORAL if name in ("tsm", "me", "action", "tea")])
def test_every_temporal_module_can_be_causal(temporal: str) -> None:
    backbone = "res2net50_26w_4s" if temporal == "tea" else "test_resnet"
    stream = to_streaming(build(temporal, backbone, num_classes=5, causal=True))
    assert isinstance(stream, CausalStream)
    assert stream.step(torch.rand(1, 3, 64, 64)).shape == (1, 5)


def test_the_official_live_demo_frame_by_frame() -> None:
    expected = torch.tensor(ONLINE["logits_per_frame"])
    model = gesture_zoo.create_model(ONLINE["arch"], num_classes=ONLINE["num_classes"])
    model.load_state_dict(gesture_zoo.convert_official(official_state_dict(ONLINE), ONLINE["arch"]))
    stream = to_streaming(model)
    video = torch.randn(ONLINE["frames_shape"], generator=torch.Generator().manual_seed(ONLINE["input_seed"]))
    logits = torch.cat([stream.step(frame[None]) for frame in video])
    assert (logits - expected.view_as(logits)).abs().max() <= 1e-4 * expected.abs().max()


def test_the_caches_are_those_of_the_official_demo() -> None:
    """At 224 pixels its ten caches are an eighth of the channels before every expansion with a skip."""
    state = to_streaming(gesture_zoo.create_model("tsm_mobilenetv2_100_online")).initial_state(1, (224, 224))
    shapes = [tuple(value.shape[2:]) for value in state.values()]
    assert shapes == [(3, 56, 56), *[(4, 28, 28)] * 2, *[(8, 14, 14)] * 3, *[(12, 14, 14)] * 2, *[(20, 7, 7)] * 2]


@pytest.mark.parametrize("name", ["tsm_test_resnet_online", "action_test_resnet_online", "tsm_test_resnet"])
def test_an_explicit_state_is_a_function_of_the_frames(name: str) -> None:
    stream, clip = to_streaming(create(name)), frames()
    kept = [stream.step(clip[:, t]) for t in range(T)]
    state, passed = {}, []
    for t in range(T):
        logits, state = stream.step(clip[:, t], state)
        passed.append(logits)
    assert torch.equal(torch.stack(passed), torch.stack(kept))
    start = stream.initial_state(2, (SIDE, SIDE))
    assert {key: value.shape for key, value in start.items()} == {key: value.shape for key, value in state.items()}
    torch.testing.assert_close(stream.step(clip[:, 0], start)[0], kept[0])


@pytest.mark.parametrize("name", ["action_test_resnet_online", "tsm_test_resnet"])
def test_streams_are_independent_and_one_can_be_reset(name: str) -> None:
    # In float64: a batch of two and one of one may go different ways through a convolution.
    model, clip = create(name).double(), frames().double()
    stream = to_streaming(model)
    for t in range(3):
        stream.step(clip[:, t])
    stream.reset(1)
    both = stream.step(clip[:, 3])
    alone = to_streaming(model)
    torch.testing.assert_close(both[1:], alone.step(clip[1:, 3]))
    alone.reset()
    for t in range(4):
        one = alone.step(clip[:1, t])
    torch.testing.assert_close(both[:1], one)


@pytest.mark.parametrize("name", ["tsm_test_resnet", "tsn_test_resnet"])
def test_other_models_slide_over_their_last_frames(name: str) -> None:
    model, clip = create(name), frames()
    stream = to_streaming(model)
    assert isinstance(stream, SlidingStream)
    for t in range(T):
        logits = stream.step(clip[:, t])
    with torch.inference_mode():
        torch.testing.assert_close(logits, model(clip))


def test_own_cnns_half_precision_and_decoders() -> None:
    video = gesture_zoo.with_temporal(timm.create_model("mobilenetv3_small_050", num_classes=5), "action", causal=True)
    stream = to_streaming(gesture_zoo.with_msd(video).to(torch.bfloat16))
    assert stream.step(torch.rand(1, 3, 64, 64, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert not hasattr(stream.model, "decoders")


def test_what_does_not_go_with_a_stream_is_said() -> None:
    stream = to_streaming(create("tsm_test_resnet_online"))
    stream.step(frames()[:, 0])
    with pytest.raises(ModelError, match="the state is of 2 streams, the frame of 1: reset"):
        stream.step(frames()[:1, 0])
    with pytest.raises(ModelError, match=r"the frames before were 48 x 48, this one is 96 x 96: reset\(\) starts anew"):
        stream.step(torch.rand(2, 3, 96, 96))
    with pytest.raises(ModelError, match=r"the frame does not go with those before it .*: reset\(\) starts anew"):
        stream.step(torch.rand(2, 3, 96, 96), stream.state)
    pooled = to_streaming(create("me_test_resnet_online"))  # its state does not show the size of the frames
    pooled.step(frames()[:, 0])
    with pytest.raises(ModelError, match="the frames before were 48 x 48, this one is 96 x 48"):
        pooled.step(torch.rand(2, 3, 96, 48))
    pooled.reset()
    pooled.step(torch.rand(2, 3, 96, 48))
    with pytest.raises(ModelError, match=r"expected a frame \(N, 3, H, W\), got \(2, 6, 3, 48, 48\)"):
        stream.step(frames())
    with pytest.raises(ModelError, match="there is no stream 2: they are 0 to 1"):
        stream.reset(2)
    with pytest.raises(ModelError, match="to_streaming takes a ClipModel"):
        to_streaming(timm.create_model("resnet18"))


@pytest.mark.parametrize("name", ["tsm_mobilenetv2_100_online", "action_test_resnet_online"])
def test_a_step_is_an_eighth_of_a_clip(name: str) -> None:
    """Counted in multiply-adds; a step of the stream must cost a sixth of an 8-frame clip at most."""

    def multiply_adds(run: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            run()
        return counter.get_total_flops()

    model = gesture_zoo.create_model(name, num_classes=5, num_segments=8).eval()
    stream, frame = to_streaming(model), torch.rand(1, 3, SIDE, SIDE)
    stream.step(frame)
    step = multiply_adds(lambda: stream.step(frame))
    assert step <= multiply_adds(lambda: model(frame.expand(1, 8, 3, SIDE, SIDE))) / 6


@pytest.mark.parametrize("name", ["tsm_test_resnet_online", "action_test_resnet_online", "tsm_test_resnet"])
def test_threads_share_a_stream_with_a_state_each(name: str) -> None:
    stream, clips = to_streaming(create(name)), torch.rand(8, 20, 1, 3, SIDE, SIDE)

    def logits(clip: Tensor) -> Tensor:
        state, answers = stream.initial_state(1, (SIDE, SIDE)), []
        for frame in clip:
            answer, state = stream.step(frame, state)
            answers.append(answer)
        return torch.cat(answers)

    with ThreadPoolExecutor(len(clips)) as pool:
        together = list(pool.map(logits, clips))
    for clip, answers in zip(clips, together, strict=True):
        torch.testing.assert_close(answers, logits(clip))


def test_a_stream_can_be_copied_and_pickled() -> None:
    stream, clip = to_streaming(create("tsm_test_resnet_online")), frames()
    stream.step(clip[:, 0])
    copies = [deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    expected = stream.step(clip[:, 1])
    for copy in copies:
        torch.testing.assert_close(copy.step(clip[:, 1]), expected)


def test_a_stream_that_went_wrong_starts_anew_and_leaves_the_others_alone() -> None:
    stream, clip = to_streaming(create("tsm_test_resnet_online")), frames()
    stream.step(clip[:, 0])
    expected = stream.step(clip[:, 1])
    stream.reset()
    broken = clip[:, 0].clone()
    broken[1] = float("nan")
    assert stream.step(broken)[1].isnan().all()
    stream.reset(1)
    answers = stream.step(clip[:, 1])
    torch.testing.assert_close(answers[0], expected[0])
    stream.reset()
    torch.testing.assert_close(answers[1], stream.step(clip[:, 1])[1])
