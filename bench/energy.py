"""What it costs to sample power: CPU time of this process at some rates.

    python3 bench/energy.py [--seconds S] [--json]

Without Jetson and GPU, tools and sysfs are fakes that give what real ones do. The time of a tool's
own process is not in it. The source of this machine is added where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from cs3d_ros.energy import EnergyMeter, PowerSource, PowerSourceError, open_source
from cs3d_ros.energy.ina3221 import Ina3221
from fake_sysfs import AGX_ORIN_JP5, FakeJetson
from fake_tools import FakeTools

RATES_HZ = (10, 50)
TEGRASTATS = """
while True:
    say("04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1x4MB) SWAP 0/31400MB (cached 0MB) "
        "CPU [1%@729,off,off,off] GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C "
        "VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
        "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW")
    time.sleep(interval_s)
"""
NVIDIA_SMI = """
while True:
    say("0, 68.32")
    time.sleep(interval_s)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long for each row")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    try:
        real = open_source().name
    except PowerSourceError:
        real = ""
    with tempfile.TemporaryDirectory() as name:
        sources = _fakes(Path(name))
        if real:
            sources[f"{real} of this machine"] = lambda interval_ms: open_source(real, interval_ms)
        for source, make in sources.items():
            for rate_hz in RATES_HZ:
                rows.append(
                    {
                        "source": source,
                        "rate_hz": rate_hz,
                        **_cost(make, rate_hz, arguments.seconds),
                    }
                )
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'source':24}{'rate':>8}{'readings':>10}{'of a core':>12}{'a reading':>14}")
    for row in rows:
        print(
            f"{row['source']:24}{row['rate_hz']:>5} Hz{row['readings']:10}"
            f"{row['core_share']:12.2%}{row['cpu_s_per_reading'] * 1e6:11.0f} us"
        )


def _fakes(folder: Path) -> dict[str, Callable[[int], PowerSource]]:
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    tools = FakeTools(bin_folder)
    tools.install("tegrastats", TEGRASTATS)
    tools.install("nvidia-smi", NVIDIA_SMI)
    os.environ["PATH"] = f"{bin_folder}:{os.environ['PATH']}"
    FakeJetson(folder / "jetson", AGX_ORIN_JP5)
    return {
        "tegrastats (fake)": lambda interval_ms: open_source("tegrastats", interval_ms),
        "ina3221 (fake sysfs)": lambda interval_ms: Ina3221(interval_ms, folder / "jetson"),
        "nvidia-smi (fake)": lambda interval_ms: open_source("nvidia-smi", interval_ms),
    }


def _cost(make: Callable[[int], PowerSource], rate_hz: int, seconds: float) -> dict[str, float]:
    with EnergyMeter(make(1000 // rate_hz)) as meter:
        meter.begin()
        before, readings = _own_cpu_s(), meter.snapshot().samples
        began = time.monotonic()
        time.sleep(seconds)
        spent_s, elapsed_s = _own_cpu_s() - before, time.monotonic() - began
        readings = meter.snapshot().samples - readings
    return {
        "readings": readings,
        "core_share": spent_s / elapsed_s,
        "cpu_s_per_reading": spent_s / max(readings, 1),
    }


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
