"""What a key of a spec is. The rows themselves are in `keys`, native systemd directives in `native`."""

from collections.abc import Mapping
from typing import NamedTuple

from unitgen.values import Type

OLDEST_SYSTEMD = 252
NEWEST_SYSTEMD = 262


class Key(NamedTuple):
    """One key of a section.

    `option` is what systemd-nspawn gets: `{}` stands for the value (for each word, if it is a list),
    `{,}` for the words joined by commas; without either it is a switch, given if the value is yes.
    `since` is the first systemd whose nspawn knows the option. If the installed one is older, `weakens`
    decides: the setting is left out with a warning, or, where leaving it out would weaken the container,
    it is an error. `newer` names words inside a value that need a later systemd than the key itself.
    """

    section: str
    name: str
    type: Type
    doc: str
    option: str = ""
    many: bool = False
    default: str = ""
    since: int = 0
    weakens: bool = False
    newer: Mapping[str, int] = {}

    @property
    def id(self) -> tuple[str, str]:
        """Section and name: what a setting is found by."""
        return self.section, self.name
