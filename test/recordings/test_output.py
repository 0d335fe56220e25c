import pytest

from cs3d_ros.recordings import RecordingError
from cs3d_ros.recordings.output import BAG, check_target, kind_of, replaced
from recording_helpers import evt3_packet, some_events, write_bag


@pytest.fixture
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "x.raw"
    path.touch()
    return path


def make_bag(path):
    return write_bag(path, evt3_packet(some_events([5])))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.CSV", ".csv"), ("a.b/x.raw", ".raw"), ("bag", BAG), ("run.2024/", BAG)],
)
def test_the_name_tells_the_kind(name, kind):
    assert kind_of(name) == kind


class TestReplacing:
    def test_one_bag_is_replaced(self, tmp_path, source):
        check_target(source, make_bag(tmp_path / "bag"), BAG, overwrite=True)

    def test_an_empty_folder_is_replaced(self, tmp_path, source):
        check_target(source, tmp_path, BAG, overwrite=True)

    def test_a_folder_of_single_recordings_stays(self, tmp_path, source):
        for name in ("monday.mcap", "tuesday.mcap"):
            (tmp_path / name).touch()
        with pytest.raises(RecordingError, match=r"files that its metadata\.yaml lists"):
            check_target(source, tmp_path, BAG, overwrite=True)

    @pytest.mark.parametrize("stranger", ["other.mcap", "thesis.tex", ".hidden", "sub/"])
    def test_a_bag_with_something_else_beside_it_stays(self, tmp_path, source, stranger):
        bag = make_bag(tmp_path / "bag")
        path = bag / stranger
        path.mkdir() if stranger.endswith("/") else path.touch()
        with pytest.raises(RecordingError, match="is not replaced"):
            check_target(source, bag, BAG, overwrite=True)

    @pytest.mark.parametrize(
        "metadata", ["", "[", "a: 1", "rosbag2_bagfile_information: {relative_file_paths: 7}"]
    )
    def test_a_bag_with_unusable_metadata_stays(self, tmp_path, source, metadata):
        bag = make_bag(tmp_path / "bag")
        (bag / "metadata.yaml").write_text(metadata)
        with pytest.raises(RecordingError, match="is not replaced"):
            check_target(source, bag, BAG, overwrite=True)

    def test_a_bag_that_lacks_a_file_stays(self, tmp_path, source):
        bag = make_bag(tmp_path / "bag")
        (bag / "bag.mcap").unlink()
        with pytest.raises(RecordingError, match="is not replaced"):
            check_target(source, bag, BAG, overwrite=True)

    def test_files_and_folders_do_not_replace_each_other(self, tmp_path, source):
        bag = make_bag(tmp_path / "bag.raw")
        with pytest.raises(RecordingError, match="is not a file and is not replaced"):
            check_target(source, bag, ".raw", overwrite=True)
        (tmp_path / "x").touch()
        with pytest.raises(RecordingError, match="is not replaced"):
            check_target(source, tmp_path / "x", BAG, overwrite=True)

    def test_a_link_is_replaced_and_what_it_points_to_stays(self, tmp_path, source):
        (tmp_path / "real.csv").write_text("mine")
        link = tmp_path / "x.csv"
        link.symlink_to("real.csv")
        check_target(source, link, ".csv", overwrite=True)
        with replaced(link, overwrite=True) as new:
            new.write_text("new")
        assert not link.is_symlink()
        assert (tmp_path / "real.csv").read_text() == "mine"


class TestReplaced:
    def test_a_folder_that_is_not_there_is_named(self, tmp_path):
        path = tmp_path / "nowhere" / "x.csv"
        with (
            pytest.raises(RecordingError, match=f"the folder {path.parent} does not exist"),
            replaced(path, overwrite=False),
        ):
            pass

    def test_a_failure_keeps_the_old_and_names_the_target(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text("old")

        def fail():
            with replaced(path, overwrite=True) as new:
                new.write_text("half")
                raise RecordingError(f"{new}: is too small")

        with pytest.raises(RecordingError, match=f"^{path}: is too small$"):
            fail()
        assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]

    def test_what_appears_meanwhile_is_kept(self, tmp_path):
        path = tmp_path / "x.csv"

        def write():
            with replaced(path, overwrite=False) as new:
                new.write_text("new")
                path.write_text("other")

        with pytest.raises(RecordingError, match="has appeared meanwhile"):
            write()
        assert [p.read_text() for p in tmp_path.iterdir()] == ["other"]
