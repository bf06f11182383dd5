"""Specs and whole fleets for tests, by the way that files take."""

from collections.abc import Mapping

from unitgen.fleet import Member, Place, place_members
from unitgen.model import Spec
from unitgen.parse import parse_source
from unitgen.rules import check_rules
from unitgen.sources import Source

FOLDER = "/etc/unitgen/containers"


def make_spec(name: str, text: str = "[Exec]\nBoot=yes\n") -> Spec:
    """What a file NAME.ini with this text says, which has to be without a fault."""
    path = f"{FOLDER}/{name}.ini"
    spec, problems = parse_source(Source(name, path, ((path, text.encode()),)))
    assert problems == ()
    assert [problem.format() for problem in check_rules(spec) if problem.is_error] == []
    return spec


def place_all(texts: Mapping[str, str], machine_id: str = "") -> dict[str, Place]:
    """The places of containers with these specs, by name."""
    return place_members([Member(make_spec(*item), True) for item in texts.items()], machine_id)


def find_refused(places: Mapping[str, Place]) -> list[str]:
    """The names of those that may not start."""
    return [name for name, place in places.items() if any(problem.is_error for problem in place.problems)]
