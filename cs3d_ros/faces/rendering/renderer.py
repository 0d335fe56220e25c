"""Renders clips of somebody's face."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.motion import Motion
from cs3d_ros.faces.person import Person
from cs3d_ros.faces.rendering.background import LEAST_BLUR, TEXELS_PER_WIDTH, draw_background
from cs3d_ros.faces.rendering.body import NECK_CM, body_of, place_body, turn_eye
from cs3d_ros.faces.rendering.camera import camera_rotation, head_rotation, look_through, project
from cs3d_ros.faces.rendering.facekit import FaceKit, add_blendshapes
from cs3d_ros.faces.rendering.look import MEDIUM_SKIN, Look
from cs3d_ros.faces.rendering.rasterizer import draw
from cs3d_ros.faces.rendering.samples import begin, gather, side_of, to_samples
from cs3d_ros.faces.rendering.sensor import blur, expose, exposure_of, lens_blur
from cs3d_ros.faces.rendering.shading import Lights, add_normals, shade_vertices
from cs3d_ros.faces.rendering.style import STYLES

MIN_SIZE, MAX_SIZE = 8, 1024
"""Sides of pictures in pixels."""

_BLUR_WIDTH = 112
_SKIN_SHARPNESS, _EYE_SHARPNESS = 16, 128


class Renderer:
    """Renders one person in one look; not to be shared by threads.

    Frames are gray levels 0…255 as an 8-bit video camera gives them, encoded by the power
    1 / `Look.gamma`, but not rounded: what event emulators are fed with. Light is linear up to
    there, and so are the samples that a pixel gathers.

    - The head turns about the joint of skull and neck, `body.NECK_CM`; the neck bends, the
      shoulders stay. `Motion.position` shifts head and shoulders.
    - Eyeballs turn by the eyeLook… blendshapes, which themselves move the lids only.
    - The camera turns about its lens, `camera.camera_rotation`; the background is far away.
    - Nothing casts a shadow; hollows are darker by how little of the surroundings they see.

    Attributes:
        size: Width and height of the pictures in pixels.
    """

    def __init__(
        self,
        kit: FaceKit,
        person: Person,
        look: Look,
        size: int = 112,
        *,
        style: str | None = None,
    ) -> None:
        """Prepare for rendering.

        Args:
            kit: The morphable face.
            person: Who is rendered.
            look: Camera, light and background.
            size: Width and height of the pictures in pixels, 8…1024.
            style: One of `style.STYLES`; None for what a camera sees.

        Raises:
            FaceError: The person does not fit the morphable face, or there is no such size or
                style.
        """
        if style is not None and style not in STYLES:
            raise FaceError(f"no style {style!r} is known, expected one of {', '.join(STYLES)}")
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise FaceError(f"pictures of {size} pixels a side, expected {MIN_SIZE} to {MAX_SIZE}")
        self.size = size
        self._look = look
        self._style = STYLES[style] if style is not None else None
        self._weights = len(kit.expression_names)
        self._body = body = body_of(kit, person)
        self._skin = max(float(np.median(body.albedo[body.skin > 0])), 1e-3)
        self._place_camera(body.vertices[body.landmarks])
        self._light(look)
        self._lens = lens_blur(look.blur * size / _BLUR_WIDTH)
        self._make_buffers()
        self._texture = draw_background(
            look.background,
            max(look.background_blur, LEAST_BLUR * TEXELS_PER_WIDTH / size),
            np.random.default_rng(look.background_seed),
        )
        self._radiance = self._expose_face()
        self._level = look.background_level * self._radiance

    def frames(self, motion: Motion) -> Iterator[tuple[float, np.ndarray]]:
        """Time in s and picture of each frame, shape (size, size), float32, 0…255.

        Raises:
            FaceError: The motion has other blendshapes than the morphable face.
        """
        for i in range(len(motion)):
            yield float(motion.time_s[i]), self.frame(motion, i)

    def frame(self, motion: Motion, i: int) -> np.ndarray:
        """The picture of frame `i`, shape (size, size), float32, 0…255; raises likewise."""
        turned, focal = self._pose(motion, i)
        self._shade_vertices()
        picture = np.empty((self.size, self.size), np.float32)
        right, down = (TEXELS_PER_WIDTH * float(shift) for shift in motion.background[i])
        look_through(
            self._texture,
            TEXELS_PER_WIDTH / self.size,
            turned,
            focal,
            self._focal,
            self._column,
            self._row,
            right,
            down,
            self._level,
            picture,
        )
        begin(picture, self._samples, self._nearness)
        to_samples(self._points, self.size)
        worn_from = self._body.worn_from
        self._draw(slice(0, worn_from), False)
        self._draw(slice(worn_from, None), True)
        gather(self._samples, picture)
        if self._style is not None:
            self._style(picture, self._radiance)
        blur(picture, self._lens)
        expose(picture, self._gain, float(motion.light[i]), self._look.gamma, self._look.black)
        return picture

    def landmarks(self, motion: Motion, i: int) -> np.ndarray:
        """Columns and rows of the 68 iBUG landmarks in frame `i`, shape (68, 2), float32.

        Pixel centres are at whole numbers plus one half. Landmarks behind the camera are NaN.
        """
        self._pose(motion, i)
        points = self._points[self._body.landmarks]
        points[points[:, 2] <= 0] = np.nan
        return points[:, :2]

    def _place_camera(self, landmarks: np.ndarray) -> None:
        """Focal length and direction by which the face fills its share of the picture."""
        look = self._look
        chin, brows = landmarks[8, 1], landmarks[17:27, 1].max()
        height, width = 1.22 * (brows - chin), landmarks[16, 0] - landmarks[0, 0]
        self._focal = look.fill * self.size * look.distance_cm / float(max(height, width, 1.0))
        self._aim = np.array(
            [landmarks[27, 0], chin + 0.5 * height, landmarks[[36, 45], 2].mean()], np.float32
        )
        self._column = (0.5 + look.right) * self.size
        self._row = (0.5 + look.down) * self.size
        self._neck = np.array(NECK_CM, np.float32)
        self._rest = head_rotation((look.yaw, look.pitch, look.roll))

    def _light(self, look: Look) -> None:
        across = math.cos(look.key_elevation)
        self._lights = Lights(
            x=across * math.sin(look.key_azimuth),
            y=math.sin(look.key_elevation),
            z=across * math.cos(look.key_azimuth),
            key=look.key,
            above=2 * (1 - look.key) * look.above,
            below=2 * (1 - look.key) * (1 - look.above),
            wrap=look.wrap,
        )
        body = self._body
        # A camera opens up for dark skin, by `_expose_face`: lamps in the eyes would glow.
        on_eyes = look.eye_gloss * math.sqrt(self._skin / MEDIUM_SKIN)
        self._gloss = (look.skin_gloss * body.skin + on_eyes * body.corneas).astype(np.float32)
        self._sharpness = np.where(body.corneas > 0, _EYE_SHARPNESS, _SKIN_SHARPNESS).astype(
            np.int32
        )

    def _make_buffers(self) -> None:
        n, side = len(self._body.vertices), side_of(self.size)
        self._posed = np.empty((n, 3), np.float32)
        self._placed = np.empty((n, 3), np.float32)
        self._normals = np.empty((n, 3), np.float32)
        self._points = np.empty((n, 3), np.float32)
        self._shade = np.empty(n, np.float32)
        self._open_to_light = self._body.open_to_light.copy()
        self._samples = np.empty((side, side), np.float32)
        # What lies outside of the picture is never reset, so that nothing is drawn there.
        self._nearness = np.full((side, side), np.inf, np.float32)

    def _expose_face(self) -> float:
        """Mean radiance of the face at rest; sets the exposure of each pixel."""
        look = self._look
        self._pose(Motion.still(np.zeros(1), self._weights), 0)
        self._shade_vertices()
        begin(np.zeros((self.size, self.size), np.float32), self._samples, self._nearness)
        to_samples(self._points, self.size)
        self._draw(slice(0, self._body.head_from), False)
        shown = self._samples[(self._nearness > 0) & (self._nearness < np.inf)]
        radiance = max(float(shown.mean()), 1e-4) if shown.size else 1.0
        metered = radiance * math.sqrt(MEDIUM_SKIN / self._skin)
        corners = (np.arange(self.size) + 0.5) / self.size * 2 - 1
        loss = 1 - look.vignette * 0.5 * (corners[:, None] ** 2 + corners[None, :] ** 2)
        exposure = exposure_of(look.gray, look.gamma, look.black)
        self._gain = (exposure / metered * loss).astype(np.float32)
        return radiance

    def _shade_vertices(self) -> None:
        body = self._body
        add_normals(self._placed, body.triangles, self._normals)
        shade_vertices(
            self._normals,
            body.albedo,
            self._open_to_light,
            self._gloss,
            self._sharpness,
            body.worn_vertices_from,
            self._lights,
            self._shade,
        )

    def _draw(self, part: slice, both_sides: bool) -> None:
        triangles = self._body.triangles[part]
        draw(self._points, self._shade, triangles, both_sides, self._samples, self._nearness)

    def _pose(self, motion: Motion, i: int) -> tuple[np.ndarray, float]:
        """Place all vertices of frame `i`; returns the camera's rotation and focal length."""
        if motion.weights.shape[1] != self._weights:
            raise FaceError(
                f"a motion with {motion.weights.shape[1]} blendshapes for a morphable face with "
                f"{self._weights}"
            )
        body = self._body
        weights = np.ascontiguousarray(motion.weights[i], np.float32)
        self._posed[:] = body.vertices
        add_blendshapes(self._posed, weights, body.start, body.moved, body.moved_by)
        for eye in body.eyeballs:
            turn_eye(eye, weights, self._posed, self._open_to_light)
        place_body(
            self._posed,
            body.follows,
            head_rotation(motion.rotation[i]),
            self._neck,
            np.asarray(motion.position[i], np.float32),
            self._rest,
            self._aim,
            self._placed,
        )
        turned = camera_rotation(motion.camera[i])
        focal = self._focal * float(motion.zoom[i])
        project(
            self._placed,
            turned,
            self._look.distance_cm,
            focal,
            self._column,
            self._row,
            self._points,
        )
        return turned, focal
