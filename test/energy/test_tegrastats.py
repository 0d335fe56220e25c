"""Lines that real boards printed, and everything else that can come down the pipe."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.energy.tegrastats import parse_line

NANO_JP4 = (
    "RAM 1923/3964MB (lfb 2x2MB) SWAP 191/1982MB (cached 6MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [5%@1224,4%@1224,3%@1224,6%@1224] EMC_FREQ 0%@1600 GR3D_FREQ 0%@76 APE 25 PLL@37C "
    "CPU@40C PMIC@50C GPU@40C AO@45C thermal@40C POM_5V_IN 1750/1628 POM_5V_GPU 0/0 "
    "POM_5V_CPU 366/406"
)
TX2_JP4 = (
    "RAM 1004/7852MB (lfb 7x2MB) CPU [1%@346,4%@499,3%@499,0%@345,0%@345,0%@346] "
    "EMC_FREQ 17%@40 GR3D_FREQ 0%@114 APE 150 MTS fg 0% bg 0% PLL@34C MCPU@34C PMIC@100C "
    "Tboard@28C GPU@32C BCPU@34C thermal@33.2C Tdiode@30.25C VDD_SYS_GPU 153/153 "
    "VDD_SYS_SOC 383/383 VDD_4V0_WIFI 0/0 VDD_IN 1876/1876 VDD_SYS_CPU 229/229 "
    "VDD_SYS_DDR 115/124"
)
TX2_RAILS = (
    "VDD_SYS_GPU",
    "VDD_SYS_SOC",
    "VDD_4V0_WIFI",
    "VDD_IN",
    "VDD_SYS_CPU",
    "VDD_SYS_DDR",
)
AGX_XAVIER_JP4 = (
    "RAM 14700/15692MB (lfb 3x2MB) SWAP 898/8192MB (cached 23MB) CPU [0%@1190,0%@1190,0%@1190,"
    "0%@1190,0%@1190,0%@1190,0%@1190,0%@1190] EMC_FREQ 0% GR3D_FREQ 0% AO@30C GPU@30.5C "
    "Tboard@31C Tdiode@32C AUX@30.5C CPU@31.5C thermal@30.8C PMIC@100C GPU 463/463 CPU 618/618 "
    "SOC 2936/2936 CV 0/0 VDDRQ 309/309 SYS5V 3306/3306"
)
AGX_XAVIER_JP5 = (
    "CPU [0%@1190,1%@1190,0%@1190,0%@1189,0%@1190,0%@1191,0%@1190,0%@1190] EMC_FREQ 0%@1331 "
    "GR3D_FREQ 0%@114 VIC_FREQ 115 APE 150 AUX@36C CPU@36.5C thermal@35.7C Tboard@37C AO@35C "
    "GPU@35C Tdiode@38.75C PMIC@50C GPU 467mW/467mW CPU 467mW/467mW SOC 1245mW/1245mW "
    "CV 0mW/0mW VDDRQ 311mW/311mW SYS5V 2768mW/2768mW"
)
XAVIER_NX_JP4 = (
    "RAM 2673/7765MB (lfb 118x4MB) SWAP 0/3883MB (cached 0MB) CPU [12%@1190,8%@1190,4%@1190,"
    "off,off,off] EMC_FREQ 7% GR3D_FREQ 33% AO@35C GPU@33C PMIC@100C AUX@33.5C CPU@35C "
    "thermal@33.9C VDD_IN 3902/3611 VDD_CPU_GPU_CV 1331/1180 VDD_SOC 997/941"
)
ORIN_NANO_JP6 = (
    "04-27-2026 14:59:41 RAM 775/7620MB (lfb 3x4MB) SWAP 0/3810MB (cached 0MB) CPU [1%@729,"
    "0%@729,0%@729,0%@729,0%@729,0%@729] GR3D_FREQ 0% cpu@48.468C soc2@47.531C soc0@48.062C "
    "gpu@48.562C tj@49.156C soc1@49.156C VDD_IN 4761mW/4778mW VDD_CPU_GPU_CV 515mW/501mW "
    "VDD_SOC 1428mW/1428mW "
)
ORIN_NANO_JP7 = (
    "10-01-2026 20:36:32 RAM 974/7546MB (lfb 6x4MB) SWAP 0/5821MB (cached 0MB) CPU [0%@729,"
    "0%@729,0%@883,0%@883,0%@729,0%@729] GR3D_FREQ 12% cpu@49.843C/49.843C soc2@49.156C/49.156C "
    "soc0@50.187C/50.187C gpu@50.875C/50.875C tj@50.875C/50.875C soc1@50.218C/50.218C "
    "VDD_IN 4548mW/4548mW/4548mW VDD_CPU_GPU_CV 483mW/483mW/483mW VDD_SOC 1489mW/1489mW/1489mW"
)
ORIN_NX_JP7 = (
    "10-01-2026 20:36:35 RAM 2432/15598MB (lfb 4x4MB) SWAP 0/6144MB (cached 0MB) CPU [55%@1036,"
    "9%@1036,24%@1036,64%@1036,off,off,0%@729,0%@729] GR3D_FREQ 0% cv0@56.281C/56.281C "
    "cpu@57.156C/57.156C tj@59.687C/59.687C cv2@56.281C/56.281C VDD_IN 7280mW/7280mW/7280mW"
)
AGX_ORIN_JP5 = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,"
    "0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C Tboard@32C "
    "SOC2@40.093C Tdiode@33C SOC0@41.093C CV1@-256C GPU@-256C tj@44.343C SOC1@41.25C CV2@-256C "
    "VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
AGX_ORIN_JP6_NEGATIVE = (
    "03-17-2024 18:54:10 RAM 10239/62841MB (lfb 442x4MB) SWAP 1/31421MB (cached 0MB) CPU [0%@1728,"
    "0%@1728,0%@1728,0%@1728,0%@1420,0%@1420,0%@1420,0%@1420,off,off,off,off] GR3D_FREQ 0% "
    "cpu@37.5C tboard@27C soc2@34.562C tdiode@27.5C soc0@34.531C tj@37.5C soc1@33.656C "
    "VDD_GPU_SOC 1592mW/1592mW VDD_CPU_CV -398mW/-398mW VIN_SYS_5V0 2624mW/2624mW "
    "VDDQ_VDD2_1V8AO 403mW/403mW"
)
AGX_ORIN_JP7 = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,10%@2201,4%@2201,14%@2201,"
    "30%@2201,18%@2201,10%@2201,10%@2201,33%@2201,7%@2201,5%@2201,27%@2201] EMC_FREQ 3%@3199 "
    "GR3D_FREQ 12%@[1300,1300] NVENC0 off NVDEC0 off NVJPG0 off NVJPG1 off VIC off OFA off "
    "NVDLA0 off NVDLA1 off PVA0_FREQ off APE 174 cpu@52.968C/52.968C soc2@48.406C/48.406C "
    "soc0@49.531C/49.531C gpu@47.625C/47.625C VDD_GPU_SOC 5139mW/5139mW/5139mW "
    "VDD_CPU_CV 3268mW/3268mW/3268mW VIN_SYS_5V0 5500mW/5500mW/5500mW"
)
AGX_ORIN_JP7_PEAKS = (
    "soc2@45.375C/45.406C soc0@45.5C/45.593C tj@47.906C/48.343C soc1@47.093C/47.25C "
    "VDD_GPU_SOC 3034mW/3049mW/3412mW VDD_CPU_CV 1137mW/1296mW/2273mW "
    "VIN_SYS_5V0 4939mW/4924mW/5040mW"
)
THOR_JP7 = (
    "07-31-2026 14:45:55 RAM 86905/125772MB (lfb 368x4MB) CPU [12%@972,10%@972,off,33%@1890] "
    "cpu@39.812C tj@39.906C soc012@38.812C gpu@39.906C soc345@38.625C VDD_GPU 3561mW/3561mW "
    "VDD_CPU_SOC_MSS 7910mW/7910mW VIN_SYS_5V0 7620mW/7620mW VIN 26686mW/26686mW"
)
TX1 = NANO_JP4.partition(" POM_5V_IN")[0]  # a Nano's line without the rails
THOR_WITHOUT_RAILS = (
    "RAM 4722/7844MB (lfb 1x512kB) EMC_FREQ 2%@1866 GR3D_FREQ @[1000,1000,1000] APE 150"
)


@pytest.mark.parametrize(
    ("line", "power_w", "rails"),
    [
        (NANO_JP4, 1.750, ("POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU")),
        (TX2_JP4, 1.876, TX2_RAILS),
        (XAVIER_NX_JP4, 3.902, ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")),
        (ORIN_NANO_JP6, 4.761, ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")),
        (ORIN_NANO_JP7, 4.548, ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")),
        (ORIN_NX_JP7, 7.280, ("VDD_IN",)),
    ],
)
def test_a_measured_input_is_the_total(line: str, power_w: float, rails: tuple[str, ...]) -> None:
    reading = parse_line(line, 7)
    assert reading is not None
    assert reading.t_ns == 7
    assert reading.rails == rails
    assert reading.power_w == power_w
    assert not reading.estimated


@pytest.mark.parametrize(
    ("line", "power_w", "rail_power_w"),
    [
        (AGX_XAVIER_JP4, 7.632, (0.463, 0.618, 2.936, 0.0, 0.309, 3.306)),
        (AGX_XAVIER_JP5, 5.258, (0.467, 0.467, 1.245, 0.0, 0.311, 2.768)),
        (AGX_ORIN_JP5, 6.755, (2.340, 0.390, 4.025, 0.301)),
        (AGX_ORIN_JP6_NEGATIVE, 3.818, (1.592, -0.398, 2.624, 0.403)),
        (AGX_ORIN_JP7, 13.907, (5.139, 3.268, 5.500)),
        (AGX_ORIN_JP7_PEAKS, 9.110, (3.034, 1.137, 4.939)),
        (THOR_JP7, 19.091, (3.561, 7.910, 7.620, 26.686)),
    ],
)
def test_without_an_input_rail_the_total_is_an_estimate(
    line: str, power_w: float, rail_power_w: tuple[float, ...]
) -> None:
    reading = parse_line(line, 0)
    assert reading is not None
    assert reading.rail_power_w == rail_power_w
    assert reading.power_w == pytest.approx(power_w)
    assert reading.estimated


def test_rails_named_like_processors_are_told_from_loads_and_temperatures() -> None:
    for line in (AGX_XAVIER_JP4, AGX_XAVIER_JP5):
        reading = parse_line(line, 0)
        assert reading is not None
        assert reading.rails == ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")


def test_channels_that_are_not_connected_are_no_rails() -> None:
    reading = parse_line(AGX_ORIN_JP5, 0)
    assert reading is not None
    assert reading.rails == ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO")


def test_rails_of_one_name_are_told_apart_and_all_are_in_the_sum() -> None:
    reading = parse_line("VDD_SOC 1000mW/1mW VDD_5V 300mW/1mW VDD_5V 200mW/1mW", 0)
    assert reading is not None
    assert reading.rails == ("VDD_SOC", "VDD_5V", "VDD_5V@2")
    assert reading.power_w == pytest.approx(1.5)
    assert reading.estimated


def test_the_current_value_counts_not_the_average_or_the_peak() -> None:
    reading = parse_line("VDD_IN 1000mW/2000mW/9000mW VDD_SOC 10mW/20mW/90mW", 0)
    assert reading is not None
    assert reading.rail_power_w == (1.0, 0.010)


@pytest.mark.parametrize(
    "line",
    [
        TX1,
        THOR_WITHOUT_RAILS,
        "",
        "\n",
        "RAM 775/7620MB (lfb 3x4MB) SWAP 0/3810MB (cached 0MB) IRAM 0/252kB(lfb 252kB)",
        "NC 0mW/0mW NC 0mW/0mW",
        "VDD_IN 47",
        "VDD_IN 4761mW",
        "VDD_IN 4761mW/4778mWVDD_SOC",
        "VDD_IN ٣/٣",
        "VDD_IN 99999999/1",
        "tegrastats: unrecognized option",
    ],
)
def test_lines_without_power_hold_no_reading(line: str) -> None:
    assert parse_line(line, 0) is None


@settings(deadline=None)
@given(st.text() | st.text(alphabet="VDD_INPOM5 C0123456789-/mWMB%@[],\n\t"))
def test_any_text_gives_finite_power_or_nothing(line: str) -> None:
    reading = parse_line(line, 0)
    if reading is not None:
        assert len(reading.rails) == len(reading.rail_power_w) >= 1
        assert math.isfinite(reading.power_w)
        assert all(abs(power_w) < 10_000 for power_w in reading.rail_power_w)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_]{2,20}", fullmatch=True),
        st.tuples(st.integers(-500, 90_000), st.integers(0, 90_000)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["", "mW"]),
    st.booleans(),
)
def test_every_rail_of_any_board_is_read(
    rails: dict[str, tuple[int, int]], unit: str, with_peak: bool
) -> None:
    block = " ".join(
        f"{name} {now}{unit}/{mean}{unit}" + (f"/{mean}{unit}" if with_peak else "")
        for name, (now, mean) in rails.items()
    )
    reading = parse_line(f"RAM 775/7620MB CPU [1%@729,off] cpu@48.4C {block}\n", 0)
    assert reading is not None
    assert dict(zip(reading.rails, reading.rail_power_w, strict=True)) == {
        name: now / 1000 for name, (now, _) in rails.items()
    }
