"""Amounts as systemd counts them: sizes, times, and the limits SOFT[:HARD] that are made of them.

What does not fit into 64 bits is refused here, as systemd drops the whole assignment then.
"""

import re
from collections.abc import Callable, Mapping

from unitgen.errors import BadValue

_MOST = 2**64 - 1  # stands for infinity
SIZE_PATTERN = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?(?: ?([KMGTPEB]))?")
_MONTH = 2_629_800_000_000
_TIME_UNITS = {
    **dict.fromkeys(("usec", "us", "µs", "μs"), 1),
    **dict.fromkeys(("msec", "ms"), 1_000),
    **dict.fromkeys(("seconds", "second", "sec", "s"), 1_000_000),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60_000_000),
    **dict.fromkeys(("months", "month", "M"), _MONTH),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3_600_000_000),
    **dict.fromkeys(("days", "day", "d"), 86_400_000_000),
    **dict.fromkeys(("weeks", "week", "w"), 604_800_000_000),
    **dict.fromkeys(("years", "year", "y"), 12 * _MONTH),
}
# Two numbers need a unit or a blank between them: 1.5.5s is no time. Possessive, so as not to backtrack.
_UNIT_NAMES = "|".join(sorted(_TIME_UNITS, key=len, reverse=True))
_TIME_PART = re.compile(
    rf"([0-9]{{0,19}}+)(?:\.([0-9]++))?(?<=[0-9])(?:[ \t]*+({_UNIT_NAMES})|[ \t]++|\Z)[ \t]*+"
)


def measure_size(text: str, base: int = 1024) -> int:
    """Bytes; raises BadValue."""
    match = SIZE_PATTERN.fullmatch(text)
    if not match:
        raise BadValue(f"{text!r} is not a size", "write bytes, or a number with K, M, G or T")
    whole, fraction, unit = match.groups("")
    factor: int = base ** "BKMGTPE".index(unit or "B")
    # As parse_size() reckons: a fraction counts as a whole one.
    if int(whole) + (int(fraction or 0) > 0) > _MOST // factor:
        raise BadValue(f"{text!r} is more than a number of 64 bits", "write infinity, or less")
    return int(whole) * factor + int(float(f"0.{fraction or 0}") * factor)


def measure_time(text: str, unit: int = 1_000_000) -> int:
    """Microseconds; a number without a unit counts `unit` of them. Raises BadValue."""
    total = end = 0
    while end < len(text) or not text:
        part = _TIME_PART.match(text, end)
        if not part:
            raise BadValue(f"{text!r} is not a time span", "write like 30s, 5min or 1h 30min")
        factor = _TIME_UNITS[part[3]] if part[3] else unit
        number = int(part[1] or 0)
        # Only as many places as matter; int() refuses some thousands.
        total += number * factor + sum(
            int(digit) * (factor // 10**place) for place, digit in enumerate((part[2] or "")[:20], 1)
        )
        if number >= min(_MOST // factor, 2**63) or total >= _MOST:
            raise BadValue(f"{text!r} is more microseconds than 64 bits hold", "write infinity, or less")
        end = part.end()
    return total


def parse_size(text: str) -> str:
    """Bytes with an optional K, M, G, T, P or E, base 1024."""
    measure_size(text)
    return text


def parse_span(text: str) -> str:
    """A time span of systemd.time(7)."""
    if text != "infinity":
        measure_time(text)
    return text


def parse_percent(text: str) -> str:
    """A percentage of systemd.resource-control(5), with its sign."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?%", text) or not text.strip("0.%"):
        raise BadValue(f"{text!r} is not a percentage above 0", "write like 50%")
    return text


def _measure_number(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        raise BadValue(f"{text!r} is not a number", "write 0 or more")
    return int(text)


def _measure_nice(text: str) -> int:
    """What setrlimit(2) counts: 20 less the level, if that has its sign."""
    if not re.fullmatch(r"[+-]?0|\+1?[1-9]|\+10|-1?[1-9]|-10|-20|[1-3]?[0-9]|40", text):
        raise BadValue(f"{text!r} is not a nice level", "write -20 to +19, or 0 to 40")
    return 20 - int(text) if text[0] in "+-" else int(text)


def _measure_seconds(text: str) -> int:
    return -(-measure_time(text) // 1_000_000)


def _measure_microseconds(text: str) -> int:
    return measure_time(text, 1)


_MEASURES: Mapping[str, Callable[[str], int]] = {
    "number": _measure_number,
    "nice level": _measure_nice,
    "size": measure_size,
    "time in seconds": _measure_seconds,
    "time in microseconds": _measure_microseconds,
}


def parse_rlimit(kind: str) -> Callable[[str], str]:
    """A parser for SOFT[:HARD] of systemd.exec(5), of numbers, nice levels, sizes or times."""

    def parse(text: str) -> str:
        if not text.isprintable():  # a tab would be taken for a blank, and passed on
            raise BadValue(f"{text!r} is not a limit", f"write SOFT or SOFT:HARD, a {kind}")
        fault = _find_fault(text.split(":"), _MEASURES[kind], kind)
        if fault:
            raise fault
        return text

    return parse


def _find_fault(bounds: list[str], measure: Callable[[str], int], kind: str) -> BadValue | None:
    endless = "" if kind == "nice level" else "infinity"
    hint = " or ".join(filter(None, (f"write SOFT or SOFT:HARD, a {kind}", endless)))
    if len(bounds) > 2:
        return BadValue(f"{':'.join(bounds)!r} is not a limit", hint)
    try:
        limits = [_MOST if bound and bound == endless else measure(bound) for bound in bounds]
    except BadValue as error:
        return BadValue(str(error), hint)
    if limits[0] > limits[-1]:
        return BadValue(f"the soft limit {bounds[0]} is above the hard limit {bounds[1]}", "swap them")
    return None
