"""MSDLoss against the paper's formula, and every way depth can be missing or wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gesture_zoo import MSDLoss, MSDOutput
from gesture_zoo.errors import DataError, ModelError

N, T, SIDE = 2, 3, 16
TARGET = torch.tensor([0, 4])


@pytest.fixture
def output() -> MSDOutput:
    masks = {"res1": torch.randn(N, T, 1, SIDE, SIDE), "layer4": torch.randn(N, T, 1, 4, 4)}
    return MSDOutput(
        torch.randn(N, 5), {k: m.requires_grad_() for k, m in masks.items()}, {"res1": 1.0, "layer4": 0.01}
    )


@pytest.fixture
def depth() -> Tensor:
    return torch.rand(N, T, 1, SIDE, SIDE)


def test_the_papers_sum(output: MSDOutput, depth: Tensor) -> None:
    small = F.interpolate(depth.flatten(0, 1), (4, 4), mode="bilinear").unflatten(0, (N, T))
    expected = (
        F.cross_entropy(output.logits, TARGET)
        + F.mse_loss(output.masks["res1"], depth)
        + 0.01 * F.mse_loss(output.masks["layer4"], small)
    )
    torch.testing.assert_close(MSDLoss()(output, TARGET, depth), expected)


def test_weights_given_to_the_loss_replace_the_taps(output: MSDOutput, depth: Tensor) -> None:
    terms = MSDLoss().terms(output, TARGET, depth)
    loss = MSDLoss(weights={"res1": 0.0, "layer4": 2.0})(output, TARGET, depth)
    torch.testing.assert_close(loss, terms["ce"] + 2 * terms["layer4"])
    with pytest.raises(ModelError, match="weights for res2, the model has taps res1, layer4"):
        MSDLoss(weights={"res2": 1.0})(output, TARGET, depth)


def test_binarised_depth(output: MSDOutput, depth: Tensor) -> None:
    terms = MSDLoss(binarize=10 / 255).terms(output, TARGET, depth)
    torch.testing.assert_close(terms["res1"], F.mse_loss(output.masks["res1"], (depth > 10 / 255).float()))
    with pytest.raises(ModelError, match=r"threshold on depth in \[0, 1\], got 10"):
        MSDLoss(binarize=10)


def test_only_valid_pixels_count(output: MSDOutput, depth: Tensor) -> None:
    valid = torch.rand(depth.shape) > 0.3
    terms = MSDLoss().terms(output, TARGET, depth.masked_fill(~valid, float("nan")), valid)
    torch.testing.assert_close(terms["res1"], F.mse_loss(output.masks["res1"][valid], depth[valid]))
    assert terms["layer4"].isfinite()


def test_resized_depth_is_the_mean_of_its_valid_pixels() -> None:
    output = MSDOutput(torch.zeros(1, 5), {"layer4": torch.full((1, 1, 1, 4, 4), 0.75)}, {"layer4": 1.0})
    depth, valid = torch.full((1, 1, 1, 16, 16), 0.75), torch.ones(1, 1, 1, 16, 16, dtype=torch.bool)
    depth[..., ::2], valid[..., ::2] = 0.1, False
    assert MSDLoss().terms(output, torch.tensor([0]), depth, valid)["layer4"] == 0


def test_a_sample_without_depth_adds_nothing(output: MSDOutput, depth: Tensor) -> None:
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[1] = False
    terms = MSDLoss().terms(output, TARGET, depth, valid)
    torch.testing.assert_close(terms["res1"], F.mse_loss(output.masks["res1"][:1], depth[:1]))


@pytest.mark.parametrize("how", ["no depth", "nothing valid"])
def test_without_depth_the_terms_are_zero_but_in_the_graph(output: MSDOutput, depth: Tensor, how: str) -> None:
    given = () if how == "no depth" else (depth, torch.zeros_like(depth, dtype=torch.bool))
    loss = MSDLoss()(output, TARGET, *given)
    torch.testing.assert_close(loss, F.cross_entropy(output.logits, TARGET))
    loss.backward()
    assert all(mask.grad is not None and not mask.grad.any() for mask in output.masks.values())


def test_plain_logits_are_cross_entropy() -> None:
    logits = torch.randn(N, 5)
    torch.testing.assert_close(MSDLoss()(logits, TARGET), F.cross_entropy(logits, TARGET))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:, :2], r"expected depth \(2, 3, 1, H, W\) beside the masks, got \(2, 2, 1, 16, 16\)"),
        (lambda d: d.transpose(1, 2), r"got \(2, 1, 3, 16, 16\)"),
        (lambda d: d[:, :, 0], "expected depth"),
        (lambda d: d * 255, r"expected depth in \[0, 1\].*got values in"),
        (lambda d: d - 0.5, r"expected depth in \[0, 1\]"),
        (lambda d: d / 0, "NaN|inf"),
        (lambda d: d.where(d > 0.5, torch.nan), "without NaN"),
        (lambda d: (d * 255).byte(), "divide 8-bit depth by 255"),
    ],
)
def test_wrong_depth_is_refused(output: MSDOutput, depth: Tensor, change, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MSDLoss()(output, TARGET, change(depth))


def test_validity_of_another_shape_is_refused(output: MSDOutput, depth: Tensor) -> None:
    with pytest.raises(DataError, match="expected valid of depth's shape"):
        MSDLoss()(output, TARGET, depth, torch.ones(N, T, 1, 4, 4, dtype=torch.bool))
