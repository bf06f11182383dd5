"""One target under atheris: python -m tests.fuzz.session TARGET [arguments of libFuzzer]."""

import importlib
import sys
from functools import partial
from typing import Any

# Instrumented code is several times slower than it is on a host.
_PATIENCE = 10


def remember_templates() -> None:
    """Compile each text of a template once: that is what takes the most time of a run."""
    jinja2: Any = importlib.import_module("jinja2")
    compiled: dict[tuple[object, ...], object] = {}
    compile_anew = jinja2.Environment.compile

    def compile_once(self: object, *arguments: object, **more: object) -> object:
        key = (*arguments, *more.values())
        if key not in compiled:
            compiled[key] = compile_anew(self, *arguments, **more)
        return compiled[key]

    jinja2.Environment.compile = compile_once


def main() -> None:
    """Fuzz until libFuzzer has enough. It ends the process itself."""
    atheris: Any = importlib.import_module("atheris")
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["unitgen", "configobj"]):
        from tests.fuzz.mutate import mutate
        from tests.fuzz.targets import LONGEST, TARGETS, limit
    remember_templates()
    # Looked up late: Fuzz() puts another function in its place.
    change = partial(mutate, target=name, other=lambda data, longest: bytes(atheris.Mutate(data, longest)))
    atheris.Setup(sys.argv, limit(TARGETS[name], LONGEST * _PATIENCE), custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
