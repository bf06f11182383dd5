"""The plain records that travel between the stages. Paths are absolute and as seen from inside the root."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

Value = bool | str | tuple[str, ...]


class Setting(NamedTuple):
    """The effective value of a key, and where each part of it came from.

    `values` holds one parsed value for a single key, any number for a list.
    """

    section: str
    key: str
    values: tuple[Value, ...]
    raw: tuple[str, ...]
    places: tuple[tuple[str, int], ...]

    @property
    def place(self) -> tuple[str, int]:
        """File and line of the assignment that decided."""
        return self.places[-1]


class Spec(NamedTuple):
    """One container as its files describe it: only what they say, no defaults."""

    name: str
    path: str
    files: tuple[str, ...]
    settings: Mapping[tuple[str, str], Setting]

    def find(self, section: str, key: str) -> Setting | None:
        """The setting, or None if no file says anything (or an empty assignment took it back)."""
        return self.settings.get((section, key))

    def parts(self, section: str, key: str) -> Iterator[tuple[Value, tuple[str, int]]]:
        """Each value of a key with the file and line it came from."""
        setting = self.find(section, key)
        if setting:
            yield from zip(setting.values, setting.places, strict=True)

    def flag(self, section: str, key: str, default: bool) -> bool:
        """A boolean key."""
        setting = self.find(section, key)
        return bool(setting.values[-1]) if setting else default

    def text(self, section: str, key: str, default: str = "") -> str:
        """A single key whose value is text."""
        setting = self.find(section, key)
        return str(setting.values[-1]) if setting else default

    def texts(self, section: str, key: str) -> tuple[str, ...]:
        """A list key, flat."""
        setting = self.find(section, key)
        if not setting:
            return ()
        flat: list[str] = []
        for value in setting.values:
            flat += value if isinstance(value, tuple) else [str(value)]
        return tuple(flat)


class Host(NamedTuple):
    """What the generated files depend on beside the specs: `backend` is that of the firewall by default."""

    systemd: int
    machine_id: str = ""
    backend: str = "iptables"


class File(NamedTuple):
    """A file or a link to write, `path` relative to the output directory."""

    path: str
    text: str = ""
    target: str = ""
