"""What a spec asks for that the installed systemd is too old for."""

import re
from collections.abc import Iterator

from unitgen.directives import NEWER
from unitgen.errors import Problem
from unitgen.keys import KEYS
from unitgen.model import Host, Setting, Spec
from unitgen.mounts import read_bind
from unitgen.native import DIRECTIVES, limits_container


def check_versions(spec: Spec, host: Host) -> tuple[Problem, ...]:
    """A warning for each setting that is left out, an error where that would weaken the container."""
    return tuple(problem for setting in spec.settings.values() for problem in _check(setting, host))


def is_supported(setting: Setting, host: Host) -> bool:
    """True if the installed systemd has the option or the directive."""
    return _find_since(setting) <= host.systemd


def _find_since(setting: Setting) -> int:
    row = KEYS.get((setting.section, setting.key))
    return row.since if row else DIRECTIVES[setting.section][setting.key]


def _check(setting: Setting, host: Host) -> Iterator[Problem]:
    row = KEYS.get((setting.section, setting.key))
    if not is_supported(setting, host):
        weakens = row.weakens if row else limits_container(setting.key)
        what = "option" if row else "directive"
        message = f"systemd {host.systemd} has no such {what}, {_find_since(setting)} has"
        hint = "remove it or upgrade systemd" if weakens else "it is left out"
        severity = "error" if weakens else "warning"
        yield _problem(setting, setting.place, message, hint)._replace(severity=severity)
        return
    newer = row.newer if row else NEWER.get(setting.key)
    if not newer:
        return
    for raw, place in zip(setting.raw, setting.places, strict=True):
        for token in _list_tokens(setting, raw):
            needed = newer.get(token, 0)
            if needed > host.systemd:
                message = f"systemd {host.systemd} does not know {token!r} here, {needed} does"
                yield _problem(setting, place, message, "write it another way or upgrade systemd")


def _list_tokens(setting: Setting, raw: str) -> tuple[str, ...]:
    """The words of a value that may need a later systemd than the key; in a bind mount only its options."""
    if setting.key in ("Bind", "BindReadOnly"):
        return read_bind(raw).options
    return tuple(re.split("([:, ])", raw))


def _problem(setting: Setting, place: tuple[str, int], message: str, hint: str) -> Problem:
    path, line = place
    return Problem("not-supported", path, message, hint, line, setting.section, setting.key)
