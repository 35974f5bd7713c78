"""1x1 convolutions on a CPU as matrix products of frames as they lie in memory.

oneDNN brings contiguous maps into a layout of its own for a convolution, and the answer back; a matrix product takes
them as they are. And what a temporal module makes for the convolution need not be: shifted channels meet other columns
of the weight, and scaled frames are made a few at a time, in memory that stays in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .kernels import channels_lie_together
from .operators import is_traced
from .processor import has_quick_products

POINTWISE = ((1, 1), (0, 0), (1, 1), 1)  # stride, padding, dilation, groups
# With fewer pixels a contiguous frame, reading the weight anew for every frame costs more than oneDNN's layouts.
_FEWEST_PIXELS = 512
_NUMBERS_AT_ONCE = 2**20  # of the frames that are worked on together: the cache is to hold a few times as many


class Grads(NamedTuple):
    """Gradients of ``conv2d_of_scaled`` by its arguments."""

    clips: Tensor
    channel: Tensor
    place: Tensor
    weight: Tensor
    bias: Tensor | None


def is_pointwise(weight: Tensor, settings: tuple[Any, ...]) -> bool:
    """Whether a convolution with such a weight, stride, padding, dilation and groups looks at single pixels.

    >>> is_pointwise(torch.zeros(2, 3, 1, 1), ((1, 1), (0, 0), (1, 1), 1))
    True
    """
    return settings == POINTWISE and weight.shape[2:] == (1, 1)


def is_product(clips: Tensor, weight: Tensor, settings: tuple[Any, ...]) -> bool:
    """Whether a convolution of the frames of clips (N, T, C, H, W) is rather done as a product."""
    if is_traced() or clips.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    if not is_pointwise(weight, settings):
        return False
    if clips.dtype != weight.dtype or not has_quick_products(clips.dtype) or not lie_as_matrices(clips):
        return False
    return channels_lie_together(clips) or has_large_frames(clips)


def has_large_frames(clips: Tensor) -> bool:
    """Whether a frame has so many pixels that reading the weight anew for every frame hardly counts."""
    return clips.shape[3] * clips.shape[4] >= _FEWEST_PIXELS


def lie_as_matrices(clips: Tensor) -> bool:
    """Whether all frames are one block of memory, contiguous or in channels_last."""
    return (clips.permute(0, 1, 3, 4, 2) if channels_lie_together(clips) else clips).is_contiguous()


def matrices(frames: Tensor, together: bool) -> Tensor:
    """Frames (M, C, H, W) as they lie in memory: (M, H*W, C) if the channels of a pixel lie together, or (M, C, H*W).

    >>> matrices(torch.zeros(2, 3, 4, 5), together=False).shape
    torch.Size([2, 3, 20])
    """
    return frames.permute(0, 2, 3, 1).flatten(1, 2) if together else frames.flatten(2)


def maps(found: Tensor, clips: Tensor) -> Tensor:
    """Such matrices, of any number of channels, as frames (N*T, O, H, W) of the size and layout of the clips'."""
    if channels_lie_together(clips):
        return found.unflatten(1, clips.shape[3:]).permute(0, 3, 1, 2)
    return found.unflatten(2, clips.shape[3:])


def conv2d_of_shifted(clips: Tensor, ahead: int, behind: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with weight (O, C, 1, 1) of the frames of ``shift_channels(clips, ahead, behind)``, no gradients.

    >>> clips = torch.arange(1.0, 7).view(1, 2, 3, 1, 1)
    >>> conv2d_of_shifted(clips, 1, 1, torch.tensor([100.0, 10, 1]).view(1, 3, 1, 1), None).flatten().tolist()
    [403.0, 26.0]
    """
    still, together = ahead + behind, channels_lie_together(clips)
    from_next, from_last, from_same = weight.flatten(1).tensor_split((ahead, still), dim=1)
    answers = _room(clips, len(weight))
    both = (matrices(of, together).split(clips.shape[1]) for of in (clips.flatten(0, 1), answers))
    for frames, answer in zip(*both, strict=True):
        if together:
            pixels, into, step = frames.flatten(0, 1), answer.flatten(0, 1), frames.shape[1]
            torch.mm(pixels[:, still:], from_same.t(), out=into)
            into[:-step].addmm_(pixels[step:, :ahead], from_next.t())
            into[step:].addmm_(pixels[:-step, ahead:still], from_last.t())
        else:
            # One by one: a product of all would copy their channels first.
            for t, frame in enumerate(frames):
                torch.mm(from_same, frame[still:], out=answer[t])
                if t > 0:
                    answer[t].addmm_(from_last, frames[t - 1, ahead:still])
                    answer[t - 1].addmm_(from_next, frame[:ahead])
    return _with_bias(answers, bias)


def conv2d_of_shifted_backward(
    grad: Tensor, clips: Tensor, ahead: int, behind: int, weight: Tensor, needs: Any
) -> tuple[Tensor | None, ...]:
    """Gradients of ``conv2d_of_shifted`` by clips, weight and bias, where ``needs`` says so; no second derivatives."""
    matrix, still, together = weight.flatten(1), ahead + behind, channels_lie_together(clips)
    by_answers = _as_frames_are(grad, together)
    by_clips = by_weight = None
    if needs[0]:
        found = by_answers @ matrix if together else matrix.t() @ by_answers
        by_clips = maps(found, clips).unflatten(0, clips.shape[:2])
        # What came from a neighbour goes back to it.
        of_next, of_last = by_clips[:, :, :ahead], by_clips[:, :, ahead:still]
        of_next[:, 1:], of_next[:, :1] = of_next[:, :-1].clone(), 0
        of_last[:, :-1], of_last[:, -1:] = of_last[:, 1:].clone(), 0
    if needs[1]:
        # In single precision: there may be many clips, and half precision loses what each of them adds.
        by_weight = torch.zeros_like(matrix, dtype=torch.promote_types(matrix.dtype, torch.float32))
        frames = matrices(clips.flatten(0, 1), together)
        from_next, from_last, from_same = frames.tensor_split((ahead, still), dim=2 if together else 1)
        for start in range(0, len(frames), clips.shape[1]):
            first, last = slice(start, start + clips.shape[1] - 1), slice(start + 1, start + clips.shape[1])
            by_weight[:, :ahead] += _outer(by_answers[first], from_next[last], together)
            by_weight[:, ahead:still] += _outer(by_answers[last], from_last[first], together)
        by_weight[:, still:] = _outer(by_answers, from_same, together)
        by_weight = by_weight.to(weight.dtype).view_as(weight)
    return by_clips, by_weight, by_answers.sum((0, 1 if together else 2)) if needs[2] else None


def conv2d_of_scaled(clips: Tensor, channel: Tensor, place: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with weight (O, C, 1, 1) of the frames of ``scale_frames(clips, channel, place)``, no gradients.

    >>> clips, channel, place = torch.ones(1, 1, 2, 1, 1), torch.tensor([1.0, 2]).view(1, 1, 2, 1, 1), torch.zeros(1)
    >>> conv2d_of_scaled(clips, channel, place.view(1, 1, 1, 1, 1), torch.ones(1, 2, 1, 1), None).item()
    3.0
    """
    matrix, together = weight.flatten(1), channels_lie_together(clips)
    frames = matrices(clips.flatten(0, 1), together)
    by_row, by_column = _gains(channel, place, together)
    answers, blocks = _room(clips, len(matrix)), _blocks(frames)
    lines, buffer = matrices(answers, together), torch.empty_like(frames[blocks[0]])
    for block in blocks:
        some = frames[block]
        scaled = torch.add(by_row[block], by_column[block], out=buffer[: len(some)]).mul_(some)
        if together:
            torch.mm(scaled.flatten(0, 1), matrix.t(), out=lines[block].flatten(0, 1))
        else:
            torch.bmm(matrix.expand(len(some), -1, -1), scaled, out=lines[block])
    return _with_bias(answers, bias)


def conv2d_of_scaled_backward(
    grad: Tensor, clips: Tensor, channel: Tensor, place: Tensor, weight: Tensor, bias: Tensor | None
) -> Grads:
    """Gradients of ``conv2d_of_scaled``, from that by its answer; no second derivatives."""
    matrix, together = weight.flatten(1), channels_lie_together(clips)
    frames, by_answers = matrices(clips.flatten(0, 1), together), _as_frames_are(grad, together)
    by_row, by_column = _gains(channel, place, together)
    by_clips, by_weight = torch.empty_like(frames), torch.zeros_like(matrix)
    of_rows, of_columns = torch.empty_like(by_row), torch.empty_like(by_column)
    blocks = _blocks(frames)
    gain_buffer, buffer = (torch.empty_like(frames[blocks[0]]) for _ in range(2))
    for block in blocks:
        some, mine, back = frames[block], by_answers[block], by_clips[block]
        gain = torch.add(by_row[block], by_column[block], out=gain_buffer[: len(some)])
        by_weight += _outer(mine, torch.mul(some, gain, out=buffer[: len(some)]), together)
        if together:
            torch.mm(mine.flatten(0, 1), matrix, out=back.flatten(0, 1))
        else:
            torch.bmm(matrix.t().expand(len(some), -1, -1), mine, out=back)
        product = torch.mul(back, some, out=buffer[: len(some)])
        torch.sum(product, 2, keepdim=True, out=of_rows[block])
        torch.sum(product, 1, keepdim=True, out=of_columns[block])
        back.mul_(gain)
    by_place, by_channel = (of_rows, of_columns) if together else (of_columns, of_rows)
    return Grads(
        maps(by_clips, clips).unflatten(0, clips.shape[:2]),
        by_channel.reshape(channel.shape),
        by_place.reshape(place.shape),
        by_weight.view_as(weight),
        None if bias is None else by_answers.sum((0, 1 if together else 2)),
    )


def _blocks(frames: Tensor) -> list[slice]:
    """Which frames are worked on together, block by block; of no frames an empty block."""
    step = max(1, _NUMBERS_AT_ONCE // (frames.shape[1] * frames.shape[2]))
    return [slice(start, start + step) for start in range(0, max(1, len(frames)), step)]


def _room(clips: Tensor, channels: int) -> Tensor:
    """Memory for frames (N*T, O, H, W) of the size and layout of the clips'.

    A tensor of its own, not another view of one: what a ``Function`` gives may be changed in place.
    """
    layout = torch.channels_last if channels_lie_together(clips) else torch.contiguous_format
    shape = clips.shape[0] * clips.shape[1], channels, *clips.shape[3:]
    return torch.empty(shape, dtype=clips.dtype, device=clips.device, memory_format=layout)


def _gains(channel: Tensor, place: Tensor, together: bool) -> tuple[Tensor, Tensor]:
    """Gains (N, T, C, 1, 1) and (N, T, 1, H, W) as those of the rows (M, rows, 1) and columns (M, 1, columns)."""
    by_channel, by_place = (gain.flatten(0, 1).flatten(2) for gain in (channel, place))
    if together:
        return by_place.transpose(1, 2), by_channel.transpose(1, 2)
    return by_channel, by_place


def _outer(a: Tensor, b: Tensor, together: bool) -> Tensor:
    """The sum over frames and pixels of products of matrices with O and with C channels, (O, C)."""
    if together:
        return a.flatten(0, 1).t() @ b.flatten(0, 1)
    return (a @ b.transpose(1, 2)).sum(0)


def _as_frames_are(grad: Tensor, together: bool) -> Tensor:
    """A gradient by answers (N*T, O, H, W), as matrices that lie as those of the frames."""
    return matrices(
        grad.contiguous(memory_format=torch.channels_last if together else torch.contiguous_format), together
    )


def _with_bias(answers: Tensor, bias: Tensor | None) -> Tensor:
    """Frames (M, O, H, W), which are overwritten, and the bias (O,)."""
    return answers if bias is None else answers.add_(bias.view(-1, 1, 1))
