"""What a system tells of its own state: temperatures, throttling, this process's memory."""

from __future__ import annotations

from pathlib import Path

from ser_edge_runtime.records import record

SYSTEM = Path("/sys")
STATUS = Path("/proc/self/status")

# Raspberry Pi firmware's get_throttled, the bits that hold now; the same ones 16 higher tell of
# the time since the system started.
_PI_NOW = ("under-voltage", "frequency capped", "throttled", "near the temperature limit")


@record()
class Health:
    """How a machine fares. What its system does not tell is empty or None.

    Attributes:
        temperatures: Degrees Celsius of each thermal zone.
        limits: What slows the processor down now; None if the system does not say.
        events: How often the processor was slowed down by heat since the system
            started; None if the system does not count.
    """

    temperatures: dict[str, float]
    limits: tuple[str, ...] | None
    events: int | None


def health(system: Path = SYSTEM) -> Health:
    """Reads the sensors.

    Args:
        system: Where Linux shows its devices; elsewhere there is no such folder.
    """
    firmware = _read(system / "devices/platform/soc/soc:firmware/get_throttled")
    counts = [
        _read(file)
        for file in sorted(
            system.glob("devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
        )
    ]
    known = [int(count) for count in counts if count is not None and count.isdigit()]
    return Health(_temperatures(system), _limits(firmware), sum(known) if known else None)


def peak_memory(status: Path = STATUS) -> int | None:
    """The most memory in bytes that this process held at a time; None where nobody knows.

    ``ru_maxrss`` would not do on Linux: it begins with what the parent process had.
    """
    for line in (_read(status) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _temperatures(system: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    zones = system.glob("class/thermal/thermal_zone[0-9]*")
    for zone in sorted(zones, key=lambda zone: (len(zone.name), zone.name)):
        kind, value = _read(zone / "type"), _read(zone / "temp")
        if kind is None or value is None or not value.lstrip("-").isdigit():
            continue
        name = kind if kind not in found else f"{kind} {zone.name.removeprefix('thermal_zone')}"
        found[name] = int(value) / 1000
    return found


def _limits(firmware: str | None) -> tuple[str, ...] | None:
    try:
        bits = int(firmware or "", 16)
    except ValueError:
        return None
    return tuple(name for place, name in enumerate(_PI_NOW) if bits >> place & 1)


def _read(file: Path) -> str | None:
    # A zone that is asleep, or one that is gone by now, cannot be read.
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
