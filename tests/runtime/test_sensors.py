from __future__ import annotations

import sys

import numpy as np
import pytest

from ser_edge_runtime.sensors import Health, health, peak_memory


def write(root, **files):
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def zone(root, number, kind, temp):
    write(root / f"class/thermal/thermal_zone{number}", type=f"{kind}\n", temp=f"{temp}\n")


def test_a_system_that_tells_nothing(tmp_path):
    assert health(tmp_path / "no such folder") == Health({}, None, None)


def test_temperatures_have_the_names_of_their_zones(tmp_path):
    zone(tmp_path, 0, "cpu-thermal", 54277)
    zone(tmp_path, 10, "acpitz", 30000)
    zone(tmp_path, 2, "acpitz", -5500)
    assert list(health(tmp_path).temperatures.items()) == [
        ("cpu-thermal", 54.277), ("acpitz", -5.5), ("acpitz 10", 30.0),
    ]  # fmt: skip


def test_zones_that_cannot_be_read_are_left_out(tmp_path):
    zone(tmp_path, 0, "asleep", "")
    zone(tmp_path, 1, "odd", "warm")
    write(tmp_path / "class/thermal/thermal_zone2", type="gone")
    (tmp_path / "class/thermal/thermal_zone3/temp").mkdir(parents=True)
    assert health(tmp_path).temperatures == {}


@pytest.mark.parametrize(
    ("bits", "limits"),
    [
        ("0", ()),
        ("50000", ()),
        ("1", ("under-voltage",)),
        ("50005", ("under-voltage", "throttled")),
        ("a", ("frequency capped", "near the temperature limit")),
        ("", None),
        ("error", None),
    ],
)
def test_the_firmware_of_a_raspberry_pi_says_what_slows_it_down_now(tmp_path, bits, limits):
    write(tmp_path / "devices/platform/soc/soc:firmware", get_throttled=bits)
    assert health(tmp_path).limits == limits


def test_slowdowns_by_heat_are_counted_over_all_cores(tmp_path):
    for core, count in enumerate(("3", "4", "odd")):
        write(
            tmp_path / f"devices/system/cpu/cpu{core}/thermal_throttle", core_throttle_count=count
        )
    assert health(tmp_path).events == 7


def test_peak_memory_is_the_kernels(tmp_path):
    write(tmp_path, status="Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t   24680 kB\n")
    assert peak_memory(tmp_path / "status") == 24680 * 1024


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no module resource")
def test_peak_memory_without_proc_is_the_resource_modules(tmp_path):
    assert peak_memory(tmp_path / "none") > 5_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_peak_memory_rises_and_stays():
    before = peak_memory()
    block = np.ones(32 << 20, np.uint8)
    assert block[-1] == 1
    risen = peak_memory()
    del block
    assert risen >= before
    assert risen > 32 << 20
    # Not to the byte: the kernel keeps a part of the count with each core.
    assert peak_memory() > risen - (1 << 20)
