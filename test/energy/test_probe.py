"""A source is chosen for the readings that it gives."""

import pytest

from cs3d_ros.energy import PowerSourceError, open_source, probe
from fake_tools import FakeTools

TEGRASTATS = """
assert sys.argv[1:] == ["--interval", "20"]
while True:
    say("VDD_IN 4761mW/4778mW")
    time.sleep(interval_s)
"""
NVIDIA_SMI = """
assert sys.argv[2:] == [
    "--query-gpu=index,power.draw", "--format=csv,noheader,nounits", "--loop-ms=20"
]
while True:
    say(sys.argv[1].removeprefix("--id=") + ", {power}")
    time.sleep(interval_s)
"""


@pytest.fixture(autouse=True)
def only_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what this machine itself may have."""
    for name in ("ina3221", "jtop", "nvml", "rapl"):
        monkeypatch.setitem(probe._FACTORIES, name, _Absent)


class _Absent:
    def __init__(self, interval_ms: int, gpu_index: int) -> None:
        pass

    def start(self) -> None:
        raise PowerSourceError("not on this machine")

    def stop(self) -> None:
        pass


def test_sources_are_tried_in_the_order_of_their_worth(tools: FakeTools) -> None:
    assert probe.SOURCE_NAMES == (
        "auto", "tegrastats", "ina3221", "jtop", "nvml", "nvidia-smi", "rapl",
    )  # fmt: skip


def test_tegrastats_goes_first(tools: FakeTools) -> None:
    tools.install("tegrastats", TEGRASTATS)
    tools.install("nvidia-smi", NVIDIA_SMI.format(power="100.25"))
    source = open_source("auto", 20)
    assert (source.name, source.scope) == ("tegrastats", "module")
    assert source.read(5).power_w == 4.761
    source.stop()


@pytest.mark.parametrize("tegrastats", ["while True: time.sleep(1)", "sys.exit(1)", None])
def test_a_source_without_readings_is_not_chosen(tools: FakeTools, tegrastats: str | None) -> None:
    if tegrastats:
        tools.install("tegrastats", tegrastats)
    tools.install("nvidia-smi", NVIDIA_SMI.format(power="100.25"))
    source = open_source("auto", 20, timeout_s=0.5)
    assert (source.name, source.scope) == ("nvidia-smi", "gpu")
    assert source.read(5).power_w == 100.25
    source.stop()
    assert not tools.living()


def test_one_of_several_gpus_is_read(tools: FakeTools) -> None:
    tools.install("nvidia-smi", NVIDIA_SMI.format(power="31.5"))
    source = open_source("nvidia-smi", 20, gpu_index=3)
    assert source.read(5).rails == ("gpu3",)
    source.stop()


def test_a_named_source_has_no_stand_in(tools: FakeTools) -> None:
    tools.install("tegrastats", TEGRASTATS)
    with pytest.raises(PowerSourceError, match=r"^nvidia-smi: not found on PATH$"):
        open_source("nvidia-smi", 20)


@pytest.mark.parametrize("power", ["[N/A]", "[Not Supported]", "[Unknown Error]"])
def test_everything_that_was_tried_is_told(tools: FakeTools, power: str) -> None:
    tools.install("nvidia-smi", NVIDIA_SMI.format(power=power))
    with pytest.raises(PowerSourceError) as caught:
        open_source("auto", 20, timeout_s=0.5)
    message = str(caught.value)
    assert "tegrastats: not found on PATH" in message
    assert f"nvidia-smi: no power reading within 0.5 s; it said '0, {power}" in message
    assert "energy cannot be measured on this machine" in message
    assert not tools.living()


def test_bad_arguments_are_refused(tools: FakeTools) -> None:
    with pytest.raises(PowerSourceError, match="'abacus'; expected one of auto, tegrastats"):
        open_source("abacus")
    for interval_ms in (0, -5, 9, 1001):
        with pytest.raises(PowerSourceError, match="expected 10 to 1000 ms"):
            open_source("auto", interval_ms)
