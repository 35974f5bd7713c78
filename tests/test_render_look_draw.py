"""Round cones are drawn where they are: against a slow march along every ray."""

from __future__ import annotations

import pytest
import torch

from gesture_zoo.errors import DataError
from gesture_zoo.render.draw import NOTHING, draw, surface
from gesture_zoo.render.solids import Camera, Solids


def scene(start, end, first, last, flat=1.0, present=True):
    """One clip of one frame with as many solids as there are rows."""
    start, end = (torch.as_tensor(points, dtype=torch.float32).view(1, 1, -1, 3) for points in (start, end))
    count = start.shape[2]
    first, last = (torch.as_tensor(radii).float().expand(count).view(1, 1, -1) for radii in (first, last))
    flat = torch.as_tensor(flat).float().expand(count).view(1, -1)
    shown = torch.as_tensor(present).expand(count).view(1, 1, -1)
    return Solids(start, end, first, last, torch.zeros(1, count, dtype=torch.long), flat, shown)


def marched(solids, focal, size, steps=120):
    """Distances (H, W) found by walking along rays towards the nearest solid, in float64."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    rays = torch.stack([x / (focal * height), y / (focal * height), torch.ones_like(x)], -1).double()
    length = rays.norm(dim=-1, keepdim=True)
    start, end = solids.start[0, 0].double(), solids.end[0, 0].double()
    ra, rb = solids.radius_start[0, 0].double(), solids.radius_end[0, 0].double()
    along = torch.zeros(height, width, dtype=torch.float64)
    for _ in range(steps):
        point = (rays / length * along[..., None])[..., None, :]
        # The distance to a round cone is the least distance to the balls along it.
        share = torch.linspace(0, 1, 81, dtype=torch.float64)[:, None, None]
        centres, radii = start + share * (end - start), ra + share[..., 0] * (rb - ra)
        gap = ((point[..., None, :, :] - centres).norm(dim=-1) - radii).amin((-1, -2))
        along = along + gap.clamp(min=0)
    z = along / length[..., 0]
    return z.masked_fill((gap > 3e-3) | (z > 50), NOTHING)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_a_march_along_the_rays(seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(3, 3, generator=generator) * torch.tensor([0.8, 0.8, 0.8]) + torch.tensor([-0.4, -0.4, 0.6])
    end = start + torch.randn(3, 3, generator=generator) * 0.25
    end[:, 2].clamp_(min=0.3)
    solids = scene(start, end, 0.03 + 0.1 * torch.rand(3, generator=generator), 0.05)
    drawn = draw(solids, Camera(torch.tensor([1.1])), (20, 28)).distance[0, 0]
    right = marched(solids, 1.1, (20, 28))
    both = (drawn < NOTHING) & (right < NOTHING)
    assert ((drawn < NOTHING) != (right < NOTHING)).sum() <= 3  # rays that graze
    assert both.sum() > 10
    assert (drawn - right)[both].abs().max() < 6e-3


def test_a_finger_that_points_at_the_camera_is_seen_at_its_tip():
    solids = scene([[0, 0, 1.0]], [[0, 0, 0.6]], 0.05, 0.04)
    distance = draw(solids, Camera(torch.tensor([1.0])), (17, 17)).distance[0, 0]
    assert distance[8, 8] == pytest.approx(0.56, abs=1e-3)
    assert distance[0, 0] == NOTHING


def test_a_ball_within_the_other_end_is_no_trouble():
    solids = scene([[0, 0, 1.0]], [[0, 0.02, 1.0]], 0.2, 0.05)
    ball = scene([[0, 0, 1.0]], [[0, 0, 1.0]], 0.2, 0.2)
    camera = Camera(torch.tensor([1.0]))
    assert torch.equal(draw(solids, camera, (24, 24)).distance, draw(ball, camera, (24, 24)).distance)


def test_a_flat_solid_is_as_wide_and_less_thick():
    camera = Camera(torch.tensor([1.0]))
    pictures = [
        draw(scene([[0, 0, 5.0]], [[0, 0, 5.0]], 1.0, 1.0, flat), camera, (41, 41)).distance[0, 0]
        for flat in (1.0, 0.3)
    ]
    assert [picture[20, 20].item() for picture in pictures] == pytest.approx([4.0, 4.7], abs=1e-3)
    wide = [int((picture < NOTHING)[20].sum()) for picture in pictures]
    assert abs(wide[0] - wide[1]) <= 1


def test_the_nearest_solid_is_seen_and_absent_ones_are_not():
    camera, places = Camera(torch.tensor([1.0])), [[0, 0, 2.0], [0, 0, 1.0], [0, 0, 3.0]]
    drawing = draw(scene(places, places, 0.2, 0.2), camera, (16, 16))
    assert drawing.solid[0, 0, 8, 8] == 1
    shown = torch.tensor([True, False, True])
    drawing = draw(scene(places, places, 0.2, 0.2, present=shown), camera, (16, 16))
    assert drawing.solid[0, 0, 8, 8] == 0


@pytest.mark.parametrize("z", [-1.0, 0.0, 0.05])
def test_nothing_is_seen_of_what_is_behind_or_around_the_camera(z):
    drawing = draw(scene([[0, 0, z]], [[0, 0, z]], 0.1, 0.1), Camera(torch.tensor([1.0])), (16, 16))
    assert (drawing.distance == NOTHING).all()


def test_an_arm_that_begins_behind_the_camera_is_seen_where_it_is_ahead():
    drawing = draw(scene([[0.2, 0.2, -0.3]], [[0.1, 0.1, 0.6]], 0.04, 0.03), Camera(torch.tensor([1.0])), (32, 32))
    seen = drawing.distance[0, 0] < NOTHING
    assert seen[24:, 24:].any() and not seen[:8].any()


def test_an_offset_of_a_pixel_moves_the_picture_by_one():
    solids, camera = scene([[0.05, 0, 1.0]], [[-0.1, 0.1, 0.9]], 0.1, 0.05), Camera(torch.tensor([1.0]))
    straight = draw(solids, camera, (24, 24)).distance
    moved = draw(solids, camera, (24, 24), offset=torch.tensor([[1.0, -2.0]])).distance
    torch.testing.assert_close(moved[..., 2:, :-1], straight[..., :-2, 1:], rtol=1e-4, atol=1e-4)


def test_points_lie_on_their_solids_and_normals_look_at_the_camera():
    solids, camera = scene([[0.1, 0, 1.0]], [[-0.2, 0.1, 0.7]], 0.15, 0.05), Camera(torch.tensor([1.0]))
    seen = surface(draw(solids, camera, (40, 40)), solids, camera)
    centre = solids.start[0, 0] + seen.along[:, None] * (solids.end - solids.start)[0, 0]
    torch.testing.assert_close((seen.point.t() - centre).norm(dim=1), seen.radius, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(seen.normal.norm(dim=0), torch.ones(len(seen.pixel)))
    assert ((seen.normal * seen.point).sum(0) < 0.02).all()


def test_too_many_solids_are_refused():
    with pytest.raises(DataError, match="at most 64"):
        draw(scene(torch.zeros(65, 3), torch.zeros(65, 3), 0.1, 0.1), Camera(torch.tensor([1.0])), (16, 16))
