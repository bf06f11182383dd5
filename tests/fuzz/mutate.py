"""Changes to inputs that know what lines are: bytes alone hardly ever make another setting."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.targets import list_keys, list_seeds
from tests.property.texts import FRAGMENTS, encode

CHECKOUT = Path(__file__).parents[2]
_TEMPLATES = """
{% include 'network.conf' %}
{% include machine %}
{% extends 'network.conf' %}
{% import 'broken.conf' as s %}
{{ s.x }}
{% for line in unit_lines %}
{% for i in range(3) recursive %}
{{ loop(line) }}
{{ loop.nope() }}
{% endfor %}
{% if systemd > 256 %}
{% else %}
{% endif %}
{% raw %}
{% endraw %}
{% set x = machine %}
{{ x }}
{% block a %}
{% endblock %}
{% macro m(a, b=1) %}
{% endmacro %}
{{ m() }}
{{ m(1, 2, 3) }}
{% call m() %}
{% endcall %}
{% filter upper %}
{% endfilter %}
{{ machine }}
{{ source | name }}
{{ stop.tries }}
{{ machine | name }}
{{ machine | upper | name }}
{{ machine.x.y }}
{{ machine.__class__ }}
{{ machine.format_map(1) }}
{{ machine.encode('x') }}
{{ command[3] }}
{{ systemd | string | name }}
{{ files | join(',') }}
{{ [1] | first }}
{{ (1, 2) | sum }}
{{ {} | tojson }}
{{ 1 // 0 }}
{{ 'a' * 9 }}
{{ nope }}
{{ cycler() }}
{{ joiner(1)() }}
{{ lipsum(1) }}
{{ namespace(1) }}
{{ '%d' | format(machine) }}
{# {{ #}
{% do x %}
{% with %}
[Service]
ExecStart=
ExecStart={{ command }}
"""
_PARTS = ("other", "vendor", "dropin", "second", "all", "conf", "extra", "machine-id", "old", "nft")


@cache
def list_lines(target: str) -> Sequence[bytes]:
    """What may be put between lines: those of seeds and keys without a value, or parts of templates."""
    if target == "template":
        return tuple(_TEMPLATES.strip().encode().split(b"\n"))
    seen: dict[bytes, None] = {}
    for kind, _, data in list_seeds(CHECKOUT):
        if kind == "document":
            seen.update(dict.fromkeys(line for line in data.split(b"\n") if len(line) < 200))
    seen.update((f"{name}=".encode(), None) for _, name in list_keys())
    seen.update((f"--- {part}".encode(), None) for part in _PARTS)
    return tuple(seen)


@cache
def list_parts(target: str) -> Sequence[bytes]:
    """What may be put into a line."""
    return (*map(encode, FRAGMENTS), *(list_lines(target) if target == "template" else ()))


def mutate(data: bytes, longest: int, seed: int, target: str, other: Callable[[bytes, int], bytes]) -> bytes:
    """A change or some to the lines of an input, or now and then whatever libFuzzer would do."""
    random = Random(seed)
    if random.random() < 0.3:
        return other(data, longest)
    lines = data.split(b"\n")
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        _change(lines, random, target)
    return b"\n".join(lines)[:longest]


def _change(lines: list[bytes], random: Random, target: str) -> None:
    place = random.randrange(len(lines))
    way = random.randrange(8)
    if way < 3:
        lines.insert(place, random.choice(list_lines(target)))
    elif way == 3:
        lines[place] = random.choice(list_lines(target))
    elif way == 4 and len(lines) > 1:
        del lines[place]
    elif way == 5:
        lines.insert(place, lines[random.randrange(len(lines))])
    else:
        text = random.choice(list_parts(target))
        column = random.choice((len(lines[place]), random.randint(0, len(lines[place]))))
        lines[place] = lines[place][:column] + text + lines[place][column:]
