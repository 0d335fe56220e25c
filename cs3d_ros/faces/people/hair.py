"""Hair of photographed people: their picture around the head, on a shell that turns with it."""

from __future__ import annotations

import cv2
import numpy as np

from cs3d_ros.faces.people.cutout import MARGIN_PX, blurred
from cs3d_ros.faces.people.fitting import Fit
from cs3d_ros.faces.people.skin import PhotographedSkin, sampled
from cs3d_ros.faces.people.surface import clipped, grid_triangles, vertex_normals
from cs3d_ros.faces.person import Mesh

_STEP_PX = 5
"""Distance of the shell's corners in pixels of the photograph, some 0.28 cm."""

_TEMPLES_CM, _CHIN_CM = 5.0, -8.0
_SHOULDERS_CM = -11.5
"""Height in the axes of the face below which the picture stays with the shoulders."""

_OVERLAP_CM = 1.0
"""How far the shell reaches in behind the head, so that no gap opens as it turns."""

_BACK_PER_CM = 0.35
"""How much the shell bends back with each cm that it goes out."""


def photographed_hair(skin: PhotographedSkin, fit: Fit) -> list[Mesh]:
    """What a photograph shows beside and above the morphable head, mostly hair.

    Args:
        skin: The photograph as seen from the fitted face.
        fit: The fitted face.

    Returns:
        What turns with the head, and what is below the chin and stays with the shoulders; either
        only where there is any.
    """
    head = np.isfinite(skin.heights)
    out = cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5) / fit.scale
    deep = cv2.distanceTransform(head.astype(np.uint8), cv2.DIST_L2, 5) / fit.scale
    edge = _edge_heights(head, skin.heights, fit.scale)
    # Hair and neck cover the head's outline, where it would be dark. The cheeks' skin moves, and
    # the shell stays behind it.
    y = (fit.centre[1] + MARGIN_PX - np.arange(len(head)))[:, None] / fit.scale
    covering = (y > _TEMPLES_CM) | (y < _CHIN_CM)
    inside = np.where(covering, skin.heights + 0.15, np.minimum(edge, skin.heights) - 0.3)
    shell = np.where(head, inside, edge - _BACK_PER_CM * out)
    wanted = np.where(deep < _OVERLAP_CM, skin.mask, 0).astype(np.float32)
    corners, triangles = _outlined(wanted)
    z = sampled(cv2.GaussianBlur(shell.astype(np.float32), (0, 0), 4), corners)
    light = sampled(cv2.GaussianBlur(skin.light, (0, 0), 1.2), corners)
    points = fit.unproject(corners - MARGIN_PX, z.astype(np.float64))
    normals = vertex_normals(fit.turned(points), triangles)
    albedo = skin.unshaded(light, normals * np.where(normals[:, 2:] < 0, -1, 1))
    high = (points[triangles, 1] > _SHOULDERS_CM).any(axis=1)
    low = (points[triangles, 1] < _SHOULDERS_CM + 0.5).any(axis=1)
    parts = ((triangles[high], True), (triangles[low], False))
    return [_part(points, some, albedo, follows) for some, follows in parts if len(some)]


def _part(
    points: np.ndarray, triangles: np.ndarray, albedo: np.ndarray, follows_head: bool
) -> Mesh:
    used, renumbered = np.unique(triangles, return_inverse=True)
    return Mesh(
        vertices=points[used].astype(np.float32),
        triangles=renumbered.reshape(-1, 3).astype(np.int32),
        albedo=albedo[used].astype(np.float32),
        follows_head=follows_head,
    )


def _edge_heights(head: np.ndarray, heights: np.ndarray, scale: float) -> np.ndarray:
    """Height of the head's outline that is nearest to each pixel, smoothed."""
    inner = cv2.erode(head.astype(np.uint8), np.ones((3, 3), np.uint8))
    edge = head & (inner == 0)
    labels = cv2.distanceTransformWithLabels(
        (~edge).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    by_label = np.zeros(labels.max() + 1, np.float32)
    by_label[labels[edge]] = np.clip(heights[edge], -4, 2)
    # Ears and jaw lie further forward than the hair behind them: the outline's steps are smoothed.
    return blurred(by_label[labels], 1.5 * scale)


def _outlined(wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that cover where `wanted` is above 0.5, with a smooth outline.

    Returns:
        Corners in pixels, shape (n, 2), float64, and triangles, shape (m, 3), int32.
    """
    rows, columns = (np.arange(0, n, _STEP_PX) for n in wanted.shape)
    # A pixel's value says little about the cell around it.
    value = cv2.blur(wanted, (_STEP_PX, _STEP_PX))[np.ix_(rows, columns)].astype(np.float64) - 0.5
    x, y = np.meshgrid(columns, rows)
    points = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    value = value.ravel()
    cells = grid_triangles(*x.shape)
    triangles, first, second, share = clipped(cells, value)
    return points[first] + share[:, None] * (points[second] - points[first]), triangles
