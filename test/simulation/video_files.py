"""Small video files for the tests, made as the cameras and programs of this world make them."""

import struct

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def frames(n, width=WIDTH, height=HEIGHT):
    """A bright quarter at the top left, a darker half below, and a bar that moves to the right."""
    pictures = []
    for i in range(n):
        picture = np.full((height, width), 100, np.uint8)
        picture[height // 2 :] = 60
        picture[: height // 2, : width // 2] = 200
        picture[:, 4 + 2 * i : 8 + 2 * i] = 20
        pictures.append(picture)
    return pictures


def write_video(path, pictures, rate=25.0, codec="MJPG"):
    """Write pictures (H, W) or (H, W, 3) as a video; the suffix chooses the container."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture)
    writer.release()
    return path


def write_mp4(path, pictures, rate=25.0):
    return write_video(path, pictures, rate, "mp4v")


def rotate(path, degrees):
    """Write a clockwise rotation into the header of an .mp4's only track, as phones do."""
    a, b = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, -b * one, a * one, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    begin, _ = _find(data, b"moov", b"trak", b"tkhd")
    data[begin + 48 : begin + 84] = matrix
    path.write_bytes(data)


def set_durations(path, ticks):
    """Give each frame of an .mp4 a duration of its own, in the units of its media header.

    The writer puts the header at the end of the file, so that it can grow.
    """
    trim(path, sum(ticks) / time_scale(path))
    data = bytearray(path.read_bytes())
    begin, size = _find(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts")
    entries = b"".join(struct.pack(">II", 1, t) for t in ticks)
    box = struct.pack(">I4sII", 16 + len(entries), b"stts", 0, len(ticks)) + entries
    for depth in range(len(_CONTAINERS)):
        at, _ = _find(data, *_CONTAINERS[: depth + 1])
        (old,) = struct.unpack(">I", data[at : at + 4])
        data[at : at + 4] = struct.pack(">I", old + len(box) - size)
    data[begin : begin + size] = box
    path.write_bytes(data)


def trim(path, seconds):
    """Let the edit list of an .mp4 show so much of it."""
    data = bytearray(path.read_bytes())
    begin, _ = _find(data, b"moov", b"mvhd")
    (scale,) = struct.unpack(">I", data[begin + 20 : begin + 24])
    begin, _ = _find(data, b"moov", b"trak", b"edts", b"elst")
    data[begin + 16 : begin + 20] = struct.pack(">I", round(seconds * scale))
    path.write_bytes(data)


def put_header_first(path):
    """Move the header of an .mp4 before its frames, as for the web."""
    data = path.read_bytes()
    moov, size = _find(data, b"moov")
    free, _ = _find(data, b"free")
    header = bytearray(data[moov : moov + size])
    at, length = _find(header, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco")
    for i in range(at + 16, at + length, 4):
        (offset,) = struct.unpack(">I", header[i : i + 4])
        header[i : i + 4] = struct.pack(">I", offset + size)
    path.write_bytes(data[:free] + header + data[free:moov] + data[moov + size :])


def time_scale(path):
    """Units per second of the media header of an .mp4."""
    data = path.read_bytes()
    begin, _ = _find(data, b"moov", b"trak", b"mdia", b"mdhd")
    return struct.unpack(">I", data[begin + 20 : begin + 24])[0]


def _find(data, *path):
    """Begin and size of a box in an .mp4."""
    at, end = 0, len(data)
    for kind in path:
        while True:
            (size,) = struct.unpack(">I", data[at : at + 4])
            if data[at + 4 : at + 8] == kind:
                break
            at += size
            assert at < end, kind
        begin = at
        at, end = at + 8, at + size
    return begin, size
