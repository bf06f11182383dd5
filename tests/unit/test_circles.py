"""Circles of dependencies: each is found, one container of it gives way, nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.specs import make_spec
from unitgen.circles import find_circles
from unitgen.model import Spec


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"a": "", "b": "[Container]\nAfter=a\n", "c": "[Container]\nAfter=a b\nBefore=d\n", "d": ""}, {}),
        ({"a": "[Container]\nAfter=b\n", "b": "[Container]\nAfter=a\n"}, {"b": "b after a after b"}),
        ({"a": "[Container]\nBefore=b\n", "b": "[Container]\nBefore=a\n"}, {"b": "b after a after b"}),
        ({"a": "[Container]\nBefore=b\nAfter=b\n", "b": ""}, {"b": "b after a after b"}),
        ({"a": "[Container]\nAfter=b\n", "b": "[Network]\nShare=a\n"}, {"b": "b after a after b"}),
        ({"a": "[Network]\nShare=b\n", "b": "[Network]\nShare=a\n"}, {"b": "b after a after b"}),
        (
            {name: f"[Container]\nAfter={other}\n" for name, other in ("ab", "bc", "ca")},
            {"c": "c after a after b after c"},
        ),
        (
            {"a": "[Container]\nAfter=b\n", "b": "[Container]\nBefore=c\nAfter=c\n", "c": ""},
            {"c": "c after b after c"},
        ),
        # The one that both need is in two circles, and neither of the others has to go.
        (
            {"a": "[Container]\nAfter=z\n", "b": "[Container]\nAfter=z\n", "z": "[Container]\nAfter=a b\n"},
            {"z": "z after a after z"},
        ),
        # A machine may also run without a spec.
        ({"a": "[Container]\nAfter=nobody\nBefore=nobody\n"}, {"a": "a after nobody after a"}),
        ({"a": "[Container]\nRequires=b\nWants=b\n", "b": "[Container]\nWants=a\nBindsTo=a\n"}, {}),
    ],
)
def test_circles(texts: dict[str, str], expected: dict[str, str]) -> None:
    specs = [make_spec(name, text or "[Exec]\nBoot=yes\n") for name, text in texts.items()]
    found = find_circles(specs)
    assert {name: problem.message.partition(": ")[2] for name, problem in found.items()} == expected
    for name, problem in found.items():
        assert problem.code == "circle"
        assert problem.is_error
        assert problem.path.endswith(f"/{name}.ini")
        assert problem.hint


def is_last_of_a_circle(name: str, earlier: dict[str, set[str]]) -> bool:
    """True if a container starts before itself by way of containers that come before it in name order."""
    seen: set[str] = set()
    ways = [name]
    while ways:
        for other in earlier[ways.pop()] - seen:
            if other == name:
                return True
            if other < name:
                seen.add(other)
                ways.append(other)
    return False


def make_specs(earlier: dict[str, set[str]]) -> list[Spec]:
    """Half of the order is said with After=, the other half with Before= of the other container."""
    lines: dict[str, list[str]] = {name: ["[Container]"] for name in earlier}
    for name, needs in earlier.items():
        for other in sorted(needs):
            if (name < other) == (len(needs) % 2 == 0):
                lines[name].append(f"After={other}")
            else:
                lines[other].append(f"Before={name}")
    return [make_spec(name, "\n".join(text) + "\n") for name, text in lines.items()]


@given(st.data(), st.integers(1, 7))
def test_last_of_each_circle_gives_way_and_nobody_else(data: st.DataObject, count: int) -> None:
    names = [f"c{number}" for number in range(count)]
    earlier = {
        name: data.draw(st.sets(st.sampled_from(names), max_size=3), label=name) - {name} for name in names
    }
    found = find_circles(make_specs(earlier))
    assert set(found) == {name for name in names if is_last_of_a_circle(name, earlier)}
