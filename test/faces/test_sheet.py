import numpy as np
import pytest

from cs3d_ros.events.packets import Events
from cs3d_ros.expressions import Course
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.sheet import Cell, contact_sheet, event_picture, middle_of_onset


def gray(level, height=40, width=30):
    return np.full((height, width), level, np.uint8)


def find(sheet, level):
    """Top, bottom, left, right of a level that is nowhere else, ends exclusive."""
    # A caption's ink may have the same level here and there.
    found = sheet == level
    rows, columns = (np.flatnonzero(found.sum(axis=axis) >= 10) for axis in (1, 0))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


class TestSheet:
    def test_pictures_are_in_rows_and_columns_beside_their_captions(self):
        sheet = contact_sheet(
            [("happy", [Cell(gray(201)), Cell(gray(202))]), ("sad", [Cell(gray(203))])]
        )
        assert sheet.dtype == np.uint8
        first, second, third = (find(sheet, level) for level in (201, 202, 203))
        assert first[1] - first[0] == 40
        assert first[3] - first[2] == 30
        assert second[:2] == first[:2]
        assert second[2] == first[3] + 4
        assert third[0] == first[1] + 4 + 4
        assert third[2:] == first[2:]
        captions = sheet[:, : first[2]]
        assert (captions[first[0] : first[1]] < 100).any()
        assert (captions[third[0] : third[1]] < 100).any()

    def test_events_are_below_their_picture(self):
        sheet = contact_sheet(
            [("a", [Cell(gray(201), gray(128)), Cell(gray(202))]), ("b", [Cell(gray(203))])]
        )
        picture, events, below = (find(sheet, level) for level in (201, 128, 203))
        assert events[0] == picture[1] + 4
        assert events[2:] == picture[2:]
        assert below[0] > events[1]

    def test_pictures_are_enlarged(self):
        top, bottom, left, right = find(contact_sheet([("", [Cell(gray(201))])], enlarge=3), 201)
        assert (bottom - top, right - left) == (120, 90)

    def test_levels_of_renderers_are_rounded_and_clipped(self):
        sheet = contact_sheet([("", [Cell(np.full((20, 20), 200.6, np.float32))])])
        assert find(sheet, 201)[1] - find(sheet, 201)[0] == 20
        assert contact_sheet([("", [Cell(np.full((20, 20), 300.0))])]).max() == 255

    def test_long_captions_fit(self):
        sheet = contact_sheet([("disgusted-corners, photo-017", [Cell(gray(201))])])
        left = find(sheet, 201)[2]
        assert (sheet[:, left - 6 : left] == 255).all()

    @pytest.mark.parametrize(
        "rows",
        [
            [],
            [("empty", [])],
            [("two sizes", [Cell(gray(1)), Cell(gray(1, 20, 20))])],
            [("events of another size", [Cell(gray(1), gray(1, 20, 20))])],
            [("colour", [Cell(np.zeros((20, 20, 3)))])],
        ],
    )
    def test_what_makes_no_sheet_is_refused(self, rows):
        with pytest.raises(FaceError, match="expected at least one and all of one height"):
            contact_sheet(rows)

    def test_a_huge_sheet_is_refused(self):
        with pytest.raises(FaceError, match="show fewer or smaller"):
            contact_sheet([("", [Cell(gray(1))])], enlarge=1000)

    def test_a_factor_below_1_is_refused(self):
        with pytest.raises(FaceError, match="from 1 on"):
            contact_sheet([("", [Cell(gray(1))])], enlarge=0)


def events(*rows):
    t, x, y, p = (np.array(column) for column in zip(*rows, strict=True))
    return Events(t * 1_000_000, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))


class TestEvents:
    def test_on_is_white_off_is_black_and_the_newest_counts(self):
        found = events((100, 0, 0, 1), (110, 1, 0, 0), (120, 2, 1, 1), (130, 2, 1, 0))
        picture = event_picture(found, 3, 2, 115_000_000)
        np.testing.assert_array_equal(picture, [[255, 0, 128], [128, 128, 0]])

    def test_only_the_100_ms_around_the_time_are_shown(self):
        found = events((49, 0, 0, 1), (50, 1, 0, 1), (149, 2, 0, 1), (150, 3, 0, 1))
        np.testing.assert_array_equal(
            event_picture(found, 4, 1, 100_000_000), [[128, 255, 255, 128]]
        )

    def test_no_events_are_gray(self):
        assert (event_picture(Events.empty(), 5, 4, 0) == 128).all()

    def test_events_outside_and_impossible_sizes_are_refused(self):
        with pytest.raises(FaceError, match="outside of 2x2"):
            event_picture(events((100, 2, 0, 1)), 2, 2, 100_000_000)
        with pytest.raises(FaceError, match="expected sides from 1"):
            event_picture(Events.empty(), 0, 4, 0)

    def test_the_middle_of_the_onset_is_shown_and_of_the_clip_where_there_is_none(self):
        assert middle_of_onset(Course(100, 200, None, 900), 1000) == 150
        assert middle_of_onset(None, 1000) == 500
