import builtins
import itertools

import numpy as np
import pytest

from cs3d_ros.recordings import plot
from cs3d_ros.recordings.plot import PlotError, check_output, draw
from cs3d_ros.recordings.preview import make_preview
from recording_helpers import evt3_packet, some_events, write_bag
from recordings_data import DRAWN_FACE, recording_path


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def picture(preview, path, name="recording"):
    """Draw and read again, shape (height, width, 3), uint8."""
    from matplotlib.image import imread

    draw(preview, name, path)
    return np.round(imread(path)[..., :3] * 255).astype(np.uint8)


def texts(preview, name="recording"):
    figure = plot._figure(preview, name)
    return [t.get_text() for t in figure.texts] + [
        t.get_text() for axes in figure.axes for t in axes.texts
    ]


@pytest.mark.usefixtures("matplotlib")
class TestPicture:
    def test_it_shows_both_polarities_in_their_colours(self, tmp_path):
        image = picture(make_preview(DRAWN_FACE), tmp_path / "face.png")
        assert image.shape[1] == 1600
        assert 800 < image.shape[0] < 1300
        # Blue is more blue than red, vermilion the other way round.
        red, blue = image[..., 0].astype(int), image[..., 2].astype(int)
        assert np.count_nonzero(blue - red > 100) > 1000
        assert np.count_nonzero(red - blue > 100) > 1000

    def test_it_names_recording_sensor_and_frames(self):
        found = texts(make_preview(recording_path("evt3")), "evt3")
        assert found[0] == "evt3"
        for part in ("evt3", "1280×720", "82,469 events, 50% ON", "1.251 s", "frames of 33 ms"):
            assert part in found[1]
        assert [t for t in found[2:] if t.isdigit()] == 2 * [str(i) for i in range(1, 9)]
        assert "0.078 s" in found

    def test_frames_keep_the_shape_of_the_sensor(self):
        preview = make_preview(recording_path("evt3"))
        figure = plot._figure(preview, "evt3")
        for axes in figure.axes[:8]:
            box = axes.get_window_extent()
            assert box.width / box.height == pytest.approx(1280 / 720, rel=0.01)

    def test_a_single_event_can_be_seen(self, tmp_path):
        events = some_events([5], x=640, y=360)
        bag = write_bag(tmp_path / "bag", evt3_packet(events, width=1280, height=720))
        image = picture(make_preview(bag), tmp_path / "one.png").astype(int)
        above_the_curve = image[: image.shape[0] // 2]
        blue = above_the_curve[..., 2] - above_the_curve[..., 0] > 60
        assert np.count_nonzero(blue) >= 4

    @pytest.mark.parametrize("frames", [1, 3, 12, 64])
    def test_labels_do_not_overlap(self, frames):
        figure = plot._figure(make_preview(DRAWN_FACE, frames=frames), "face")
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        renderer = FigureCanvasAgg(figure).get_renderer()
        for axes in figure.axes[:-1]:
            boxes = sorted(
                (t.get_window_extent(renderer) for t in axes.texts), key=lambda box: box.x0
            )
            assert len(boxes) >= 2
            assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))

    def test_names_are_taken_as_they_are(self, tmp_path):
        preview = make_preview(DRAWN_FACE)
        draw(preview, "a_$x^2$_" + "long" * 100, tmp_path / "x.png")
        assert len(texts(preview, "long" * 100)[0]) < 110

    def test_losses_and_cuts_are_told(self, tmp_path):
        packets = [evt3_packet(some_events([10 * i]), i) for i in (0, 1, 4)]
        bag = write_bag(tmp_path / "bag", *packets)
        facts = texts(make_preview(bag, start_ns=20_000))[1]
        assert "2 packets lost" in facts
        assert "shown: 1 events" in facts

    def test_an_existing_picture_is_replaced(self, tmp_path):
        path = tmp_path / "x.PNG"
        path.write_bytes(b"old")
        draw(make_preview(DRAWN_FACE), "face", path)
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_a_picture_that_cannot_be_written_is_an_error(self, tmp_path, monkeypatch):
        from matplotlib.figure import Figure

        def fail(_, path, **__):
            path.write_bytes(b"half")
            raise OSError(28, "no space left", str(path))

        monkeypatch.setattr(Figure, "savefig", fail)
        preview = make_preview(DRAWN_FACE)
        path = tmp_path / "x.png"
        with pytest.raises(PlotError, match=f"no space left: '{path}'"):
            draw(preview, "face", path)
        assert list(tmp_path.iterdir()) == []
        path.write_bytes(b"old")
        with pytest.raises(PlotError, match="no space left"):
            draw(preview, "face", path)
        assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


class TestColours:
    @pytest.fixture(autouse=True)
    def _matplotlib(self, matplotlib):
        """All of these need it."""

    def test_empty_cells_show_the_ground(self):
        image = plot._coloured(np.zeros((1, 2, 4, 4), np.uint32))
        assert np.allclose(image, 0xF1 / 255)

    def test_more_events_are_stronger_up_to_a_limit(self):
        frames = np.zeros((1, 2, 1, 4), np.uint32)
        frames[0, 1, 0] = [0, 1, 5, 5000]
        ground, few, more, most = plot._coloured(frames)[0, 0]
        distances = [np.abs(colour - ground).sum() for colour in (few, more, most)]
        assert distances == sorted(distances)
        assert distances[0] > 0.3

    def test_a_cell_with_both_polarities_lies_between(self):
        frames = np.zeros((1, 2, 1, 3), np.uint32)
        frames[0, :, 0] = [[4, 2, 0], [0, 2, 4]]
        off, both, on = plot._coloured(frames)[0, 0]
        assert np.allclose(both, (off + on) / 2)

    def test_sparse_events_grow_into_empty_neighbours_only(self):
        frames = np.zeros((1, 2, 20, 20), np.uint32)
        frames[0, 1, 5, 5] = 1
        frames[0, 0, 5, 6] = 1
        grown = plot._dilated(frames)
        assert np.argwhere(grown[0, 1]).tolist() == [[4, 5], [5, 4], [5, 5], [6, 5]]
        assert np.argwhere(grown[0, 0]).tolist() == [[4, 6], [5, 6], [5, 7], [6, 6]]


class TestUnits:
    @pytest.mark.parametrize(
        ("ns", "text"),
        [
            (99_000, "99 µs"), (33_000_000, "33 ms"), (999_996_000, "1 s"),
            (5_995_301_000, "5.995 s"), (900_000_000_000, "15 min"), (4 * 3600 * 10**9, "4 h"),
        ],
    )  # fmt: skip
    def test_lengths_are_told_in_a_fitting_unit(self, ns, text):
        assert plot._length(ns) == text

    @pytest.mark.parametrize(
        ("rate", "unit"), [(0, "ev/s"), (5e3, "kev/s"), (1e6, "Mev/s"), (3e9, "Gev/s")]
    )
    def test_rates_are_told_in_a_fitting_unit(self, rate, unit):
        assert plot._rate_unit(rate)[1] == unit


class TestOutput:
    @pytest.mark.parametrize("name", ["x.jpg", "x", "recording.raw"])
    def test_other_suffixes_are_refused(self, tmp_path, name):
        with pytest.raises(PlotError, match=r"expected a name ending in \.png"):
            check_output(tmp_path / name)

    def test_folders_that_are_not_there_are_refused(self, tmp_path):
        with pytest.raises(PlotError, match="make the folder first"):
            check_output(tmp_path / "nowhere" / "x.png")

    def test_without_matplotlib_the_remedy_is_named(self, tmp_path, monkeypatch):
        real = builtins.__import__

        def without(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ImportError("No module named 'matplotlib'")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(PlotError, match="pip install matplotlib"):
            check_output(tmp_path / "x.png")
