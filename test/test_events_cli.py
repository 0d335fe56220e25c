import dataclasses
import json
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from cs3d_ros.cli import main
from cs3d_ros.recordings import convert, open_recording, write_recording
from recordings_data import DRAWN_FACE, recording_path

KEYS = [
    "encoding", "width", "height", "messages", "payload_bytes", "events", "on", "off", "triggers",
    "sum_x", "sum_y", "sum_t_ns", "t_first_ns", "t_last_ns", "packets_lost", "skipped_words",
]  # fmt: skip


def write_changed(path, *changes):
    """The first packets of the embedded recording, as many as there are changes of fields."""
    with open_recording(DRAWN_FACE) as recording:
        rows = [
            (log_time_ns, dataclasses.replace(packet, **change))
            for (log_time_ns, packet), change in zip(recording, changes, strict=False)
        ]
    write_recording(path, rows)
    return str(path)


@pytest.fixture
def damaged(tmp_path):
    """The evt3 recording with garbage in the place of its 51st packet."""
    path = tmp_path / "damaged.db3"
    shutil.copyfile(recording_path("evt3/test_data_evt3_trigger_0.db3"), path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = x'00010000ff' WHERE id = 51")
    database.close()
    return str(path)


def test_the_help_shows_the_four_commands(capsys):
    with pytest.raises(SystemExit) as end:
        main(["events", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("summary", "convert", "plot", "simulate"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["summary"],
        ["convert", "only-one"],
        ["plot", "x", "--start", "soon"],
        ["plot", "x", "--duration", "nan"],
        ["plot", "x", "--frames", "1.5"],
    ],
)
def test_wrong_usage_is_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(["events", *arguments])
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_command_line_does_not_import_matplotlib_or_torch():
    code = (
        "import sys; from cs3d_ros.cli import main; status = main(['events', 'summary', "
        f"{str(DRAWN_FACE)!r}]); print({{'torch', 'matplotlib', 'rclpy'}} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "set()"


class TestSummary:
    def test_json_has_the_golden_values(self, capsys):
        assert main(["events", "summary", str(recording_path("evt3")), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {key: found[key] for key in KEYS} == {
            "encoding": "evt3", "width": 1280, "height": 720, "messages": 105,
            "payload_bytes": 758_296, "events": 82_469, "on": 41_439, "off": 41_030,
            "triggers": 2, "sum_x": 42_078_718, "sum_y": 31_656_267,
            "sum_t_ns": 1_222_326_831_810_000, "t_first_ns": 14_224_870_000,
            "t_last_ns": 15_476_187_000, "packets_lost": 0, "skipped_words": 53_224,
        }  # fmt: skip

    def test_text_is_for_a_person(self, capsys):
        path = str(recording_path("libcaer_cmp"))
        assert main(["events", "summary", path, "--topic", "/event_camera/events"]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{path}\n")
        assert "571,266 (36.9% ON)" in out

    def test_some_bad_packets_are_a_remark(self, capsys, tmp_path):
        bag = write_changed(tmp_path / "bag", {}, {"encoding": "evt99"}, {})
        assert main(["events", "summary", bag, "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["bad_packets"] == 1
        assert "1 of 3 packets could not be decoded" in captured.err
        assert "evt99" in captured.err

    def test_only_bad_packets_are_status_1(self, capsys, tmp_path):
        bag = write_changed(tmp_path / "bag", {"encoding": "evt99"}, {"width": 0})
        assert main(["events", "summary", bag, "--json"]) == 1
        captured = capsys.readouterr()
        found = json.loads(captured.out)
        assert (found["messages"], found["events"], found["t_first_ns"]) == (2, 0, None)
        assert "2 of 2 packets could not be decoded" in captured.err

    def test_no_events_are_no_error(self, capsys, tmp_path):
        bag = write_changed(tmp_path / "bag", {"payload": b""})
        assert main(["events", "summary", bag]) == 0
        assert "sensor time  -" in capsys.readouterr().out

    def test_damage_is_told_after_what_could_be_read(self, capsys, damaged):
        assert main(["events", "summary", damaged]) == 1
        captured = capsys.readouterr()
        assert "packets      50 with" in captured.out
        assert "damaged" in captured.err
        assert "Traceback" not in captured.err

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["/no/such/bag"], "no such file"),
            (["~nobody_here/bag"], "no home folder"),
            ([str(DRAWN_FACE), "--topic", "/nope"], "'/nope'"),
        ],
    )
    def test_bad_input_is_one_line_and_status_1(self, capsys, arguments, reason):
        assert main(["events", "summary", *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("cs3d: ")
        assert reason in line


class TestConvert:
    def test_it_says_what_it_did(self, capsys, tmp_path):
        out = tmp_path / "copy"
        assert main(["events", "convert", str(DRAWN_FACE), str(out)]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == f"{DRAWN_FACE} -> {out}"
        assert second.startswith("1,499 packets, 86,410 events, evt3 as it was, ")
        assert second.endswith(" bytes")

    def test_lost_triggers_are_told(self, capsys, tmp_path):
        source = str(recording_path("evt3"))
        out = str(tmp_path / "out")
        assert main(["events", "convert", source, out, "--encoding", "libcaer_cmp"]) == 0
        captured = capsys.readouterr()
        assert "105 packets, 82,469 events, evt3 -> libcaer_cmp, " in captured.out
        assert "2 external triggers are lost" in captured.err

    def test_decoded_output_has_no_encoding(self, capsys, tmp_path):
        assert main(["events", "convert", str(DRAWN_FACE), str(tmp_path / "x.npz")]) == 0
        assert "86,410 events, decoded from evt3, " in capsys.readouterr().out

    def test_an_existing_output_is_kept_unless_told_otherwise(self, capsys, tmp_path):
        out = tmp_path / "x.csv"
        out.write_text("mine")
        assert main(["events", "convert", str(DRAWN_FACE), str(out)]) == 1
        assert "exists already" in capsys.readouterr().err
        assert out.read_text() == "mine"
        assert main(["events", "convert", str(DRAWN_FACE), str(out), "--overwrite"]) == 0
        assert out.stat().st_size > 1_000_000

    def test_the_topic_can_be_chosen(self, tmp_path):
        out = str(tmp_path / "out")
        arguments = ["--topic", "/event_camera/events", "--out-topic", "/cam/events"]
        assert main(["events", "convert", str(DRAWN_FACE), out, *arguments]) == 0
        with open_recording(out) as recording:
            assert recording.topics == ("/cam/events",)


class TestInterruption:
    @pytest.fixture
    def interrupted(self, tmp_path, monkeypatch):
        """Run a conversion that gets a signal half way."""

        def run(number):
            def write(path, _):
                path.write_text("half")
                assert signal.getsignal(number) is not signal.SIG_DFL
                signal.raise_signal(number)

            monkeypatch.setitem(convert._WRITERS, ".csv", write)
            return main(["events", "convert", str(DRAWN_FACE), str(tmp_path / "x.csv")])

        return run

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_leaves_nothing_behind(self, tmp_path, interrupted, number):
        # Under nohup the tests themselves ignore one of them.
        before = signal.signal(number, signal.SIG_DFL)
        try:
            with pytest.raises(SystemExit) as end:
                interrupted(number)
            assert end.value.code == 128 + number
            assert list(tmp_path.iterdir()) == []
            assert signal.getsignal(number) == signal.SIG_DFL
        finally:
            signal.signal(number, before)

    def test_nor_does_control_c(self, tmp_path, interrupted):
        assert interrupted(signal.SIGINT) == 130
        assert list(tmp_path.iterdir()) == []

    def test_an_ignored_signal_stays_ignored(self, capsys, interrupted):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert interrupted(signal.SIGHUP) == 1
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert "no packets to convert" in capsys.readouterr().err


class TestPlot:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        """All of these need it."""
        pytest.importorskip("matplotlib")

    def test_a_picture_is_written(self, capsys, tmp_path):
        out = tmp_path / "face.png"
        arguments = ["--frames", "3", "--window-ms", "20", "--start", "1", "--duration", "2.5"]
        assert main(["events", "plot", str(DRAWN_FACE), "--output", str(out), *arguments]) == 0
        assert out.read_bytes().startswith(b"\x89PNG")
        assert "in 3 frames" in capsys.readouterr().out

    def test_it_is_named_after_the_recording(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(["events", "plot", str(DRAWN_FACE)]) == 0
        assert (tmp_path / "drawn_face.png").exists()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--frames", "0"], "0 frames, expected 1 to 64"),
            (["--window-ms", "-1"], "a window of -1 ms"),
            (["--start", "6"], "expected 0 to 5.9953 s"),
            (["--output", "x.jpg"], "ending in .png"),
            (["--output", "~nobody_here/x.png"], "no home folder"),
            (["--topic", "/nope"], "'/nope'"),
        ],
    )
    def test_bad_input_is_one_line_and_status_1(
        self, capsys, tmp_path, monkeypatch, arguments, reason
    ):
        monkeypatch.chdir(tmp_path)
        assert main(["events", "plot", str(DRAWN_FACE), *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
        assert list(tmp_path.iterdir()) == []

    def test_damage_is_told_after_drawing_what_could_be_read(self, capsys, damaged, tmp_path):
        out = tmp_path / "damaged.png"
        assert main(["events", "plot", damaged, "--output", str(out)]) == 1
        assert out.exists()
        assert "damaged" in capsys.readouterr().err
