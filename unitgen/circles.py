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
    found = {}
    rest = _drop_ordered(earlier)
    for name in sorted(rest, reverse=True):
        # One without a spec is of the vendor's making, and not for us to leave out.
        circle = _walk_back(name, rest) if name in rest and name in known else ()
        if circle:
            found[name] = _describe(known[name], circle)
            rest = _drop_ordered({other: rest[other] - {name} for other in rest if other != name})
    return found


def _drop_ordered(earlier: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Those left when all have started that have nothing before them, and those after these, and so on."""
    later: dict[str, list[str]] = {}
    counts = {}
    for name, before in earlier.items():
        waiting = [other for other in before if other in earlier]
        counts[name] = len(waiting)
        for other in waiting:
            later.setdefault(other, []).append(name)
    ready = [name for name, count in counts.items() if not count]
    for name in ready:
        for other in later.get(name, ()):
            counts[other] -= 1
            if not counts[other]:
                ready.append(other)
    return {name: earlier[name] & counts.keys() for name, count in counts.items() if count}


def _walk_back(start: str, earlier: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The shortest way from a container to itself by what starts before it; empty if there is none."""
    reached: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for before in sorted(earlier.get(name, ())):
            if before == start:
                return _trace(start, name, reached)
            if before not in reached:
                reached[before] = name
                queue.append(before)
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
