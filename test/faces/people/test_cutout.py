import cv2
import numpy as np
import pytest

from cs3d_ros.faces.people.cutout import MARGIN_PX, blurred, cut_out, go_on_beyond_borders


def landmarks():
    """About where those of a face in the middle are."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 224 + 60 * np.column_stack([np.cos(angle), np.sin(angle)])
    points[17:27] = np.column_stack([np.linspace(170, 278, 10), np.full(10, 190)])
    points[30], points[33] = (224, 230), (224, 245)
    return points.astype(np.float32)


def scene(level=210.0, person=60.0):
    """A disc before a background that is brighter at its right, with noise."""
    y, x = np.mgrid[0:448, 0:448]
    disc = np.hypot(x - 224, y - 224) < 120
    gray = np.where(disc, person, level + 0.05 * (x - 224))
    gray += np.random.default_rng(0).normal(0, 2, gray.shape)
    return np.clip(gray, 0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("person", [20.0, 120.0, 185.0])
def test_what_is_darker_than_the_background_is_the_person(person):
    gray, disc = scene(person=person)
    mask, _ = cut_out(gray, landmarks(), disc)
    assert mask.dtype == np.float32
    inner = cv2.erode(disc.astype(np.uint8), np.ones((11, 11), np.uint8)) > 0
    outer = cv2.dilate(disc.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert mask[inner].min() > 0.95
    assert mask[~outer].max() < 0.05


def test_light_skin_stays_though_it_is_like_the_background():
    gray, disc = scene(person=210.0)
    mask, _ = cut_out(gray, landmarks(), disc)
    assert mask[200:260, 200:250].min() > 0.95


def test_what_does_not_hang_together_with_the_face_is_left_out():
    gray, disc = scene()
    gray[20:40, 20:40] = 30
    mask, _ = cut_out(gray, landmarks(), disc)
    assert mask[15:45, 15:45].max() == 0


def test_the_person_goes_on_where_the_background_was():
    gray, disc = scene(person=60.0)
    _, light = cut_out(gray, landmarks(), disc)
    assert np.abs(light - 60).max() < 12


def test_thin_hair_through_which_the_background_shows_is_left_out():
    gray, disc = scene(person=30.0)
    head = cv2.erode(disc.astype(np.uint8), np.ones((51, 51), np.uint8)) > 0
    gray[200:240, 340:400] = 180
    mask, _ = cut_out(gray, landmarks(), head)
    assert mask[205:235, 352:395].max() < 0.05


def test_what_the_border_cuts_off_goes_on_and_ends_round():
    mask, light = np.zeros((448, 448), np.float32), np.full((448, 448), 0.3, np.float32)
    mask[:300, 124:324] = 1
    light[:, 224] = 0.1
    wide, seen = go_on_beyond_borders(mask, light)
    assert wide.shape == seen.shape == (448 + MARGIN_PX, 448 + 2 * MARGIN_PX)
    assert np.array_equal(seen[MARGIN_PX:, MARGIN_PX:-MARGIN_PX], light)
    above = wide[:MARGIN_PX].sum(axis=1)
    assert 170 < above[-1] < 205
    assert 0 < above[MARGIN_PX - 50] < above[-1] - 20
    assert above[0] == 0
    # A strand at the border goes on.
    assert seen[MARGIN_PX - 10, MARGIN_PX + 224] < seen[MARGIN_PX - 10, MARGIN_PX + 200]


def test_nothing_goes_on_where_nobody_is_at_the_border():
    mask = np.zeros((448, 448), np.float32)
    mask[100:300, 100:300] = 1
    wide, _ = go_on_beyond_borders(mask, np.full((448, 448), 0.3, np.float32))
    assert wide[: MARGIN_PX + 90].max() == 0
    assert wide[:, : MARGIN_PX + 90].max() == 0


@pytest.mark.parametrize("sigma", [2.0, 8.0, 40.0])
def test_blurring_at_a_lower_resolution_is_nearly_the_same(sigma):
    picture = np.zeros((200, 300), np.float32)
    picture[80:140, 100:220] = 1
    exact = cv2.GaussianBlur(picture, (0, 0), sigma)
    assert np.abs(blurred(picture, sigma) - exact).max() < 0.08
