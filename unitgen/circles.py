"""Circles in the order in which containers start. systemd would break one by leaving a container out."""

from collections.abc import Iterable, Mapping

from unitgen.errors import Problem
from unitgen.model import Setting, Spec

_ORDERING = (("Container", "After"), ("Network", "Share"), ("Container", "Before"))


def find_circles(specs: Iterable[Spec]) -> dict[str, Problem]:
    """What is wrong with the last container, in name order, of each circle; the others may start."""
    known = {spec.name: spec for spec in specs}
    earlier: dict[str, set[str]] = {
        name: {*spec.texts("Container", "After"), *spec.texts("Network", "Share")} - {name}
        for name, spec in known.items()
    }
    for name, spec in known.items():
        for later in spec.texts("Container", "Before"):
            if later != name:
                earlier.setdefault(later, set()).add(name)
    waiting = _Waiting(earlier)
    found = {}
    # Others are of the vendor's making, and not for us to leave out.
    for name in sorted(known, reverse=True):
        circle = waiting.find_circle(name)
        if circle:
            found[name] = _describe(known[name], circle)
            waiting.drop([name])
    return found


class _Waiting:
    """Those that never get to start, because each has another of them before it. They are numbered in name
    order and held in the bits of integers, so that a look at all that come before one is a single step.
    """

    def __init__(self, earlier: Mapping[str, set[str]]) -> None:
        self._names = sorted(earlier)
        numbers = {name: number for number, name in enumerate(self._names)}
        self._later: dict[str, list[str]] = {name: [] for name in self._names}
        self._counts = dict.fromkeys(self._names, 0)
        self._earlier = dict.fromkeys(self._names, 0)
        self._bits = {name: 1 << number for name, number in numbers.items()}
        for name in self._names:
            for before in earlier[name] & numbers.keys():
                self._later[before].append(name)
                self._counts[name] += 1
                self._earlier[name] |= self._bits[before]
        self._left = (1 << len(self._names)) - 1
        self.drop([name for name in self._names if not self._counts[name]])

    def drop(self, names: Iterable[str]) -> None:
        """Take these out, and those that then have nothing before them, and so on."""
        gone = [*names]
        for name in gone:
            self._left &= ~self._bits[name]
            for other in self._later[name]:
                self._counts[other] -= 1
                if not self._counts[other] and self._left & self._bits[other]:
                    gone.append(other)

    def find_circle(self, start: str) -> tuple[str, ...]:
        """The shortest way from a container to itself by what starts before it; empty if there is none."""
        if not self._left & self._bits[start]:
            return ()
        reached: dict[str, str] = {}
        unseen = self._left
        queue = [start]
        for name in queue:
            found = self._earlier[name] & unseen
            if found & self._bits[start]:
                return _trace(start, name, reached)
            unseen &= ~found
            while found:
                lowest = found & -found
                before = self._names[lowest.bit_length() - 1]
                reached[before] = name
                queue.append(before)
                found ^= lowest
        return ()


def _trace(start: str, last: str, reached: Mapping[str, str]) -> tuple[str, ...]:
    way = [start, last] if last != start else [start]
    while way[-1] != start:
        way.append(reached[way[-1]])
    return tuple(reversed(way))


def _describe(spec: Spec, circle: tuple[str, ...]) -> Problem:
    setting: Setting | None = next((found for key in _ORDERING if (found := spec.find(*key))), None)
    message = f"would start after itself: {' after '.join(circle)}"
    path, line = setting.place if setting else (spec.path, 0)
    section, key = (setting.section, setting.key) if setting else ("", "")
    return Problem("circle", path, message, "take one of the dependencies out", line, section, key)
