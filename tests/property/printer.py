"""Writes specs from what was read of them."""

from collections.abc import Callable, Iterable

from unitgen.ini import Assignment, has_inline_comment
from unitgen.keys import KEYS
from unitgen.model import Spec, Value
from unitgen.values import ENVIRONMENT, TEXT, WORDS, parse_text


def print_assignments(assignments: Iterable[Assignment]) -> bytes:
    """Each with its section in front of it."""
    return "".join(f"[{item.section}]\n{item.key}={_guard(item.value)}\n" for item in assignments).encode()


def print_raw(spec: Spec) -> bytes:
    """The settings as their files had them."""
    return _print(spec, lambda section, key: spec.settings[section, key].raw)


def print_values(spec: Spec) -> bytes:
    """The settings as they were understood, in this module's own words."""

    def format_all(section: str, key: str) -> Iterable[str]:
        return [_format(section, key, value) for value in spec.settings[section, key].values]

    return _print(spec, format_all)


def _print(spec: Spec, fetch: Callable[[str, str], Iterable[str]]) -> bytes:
    lines = [
        f"[{section}]\n{key}={_guard(value)}\n"
        for section, key in spec.settings
        for value in fetch(section, key)
    ]
    return "".join(lines).encode()


def _guard(value: str) -> str:
    """A blank after a backslash keeps it from joining the next line."""
    return f"{value} " if value.endswith("\\") else value


def _format(section: str, key: str, value: Value) -> str:
    row = KEYS.get((section, key))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _quote_whole(value) if row and row.type is TEXT else value
    return " ".join(map(_quote_word, value) if row and row.type in (WORDS, ENVIRONMENT) else value)


def _quote_whole(value: str) -> str:
    """The first of the ways to write a text that says it."""
    for written in (value, f'"{value}"', f"'{value}'"):
        if parse_text(written) == value and written.strip(" \t") and not has_inline_comment(written):
            if written == written.strip(" \t"):
                return written
    raise AssertionError(f"{value!r} cannot be written")


def _quote_word(word: str) -> str:
    """systemd.nspawn(5) knows quotes of both kinds, and no escapes."""
    return "".join(f"'{part}'" if part != "'" else '"\'"' for part in _split_at_quotes(word))


def _split_at_quotes(word: str) -> list[str]:
    parts = [""]
    for char in word:
        if char == "'":
            parts += ["'", ""]
        else:
            parts[-1] += char
    return parts
