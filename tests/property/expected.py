"""What a value asks for, by the manuals of systemd: the words that its key adds to the command line."""

import re
from collections.abc import Callable, Mapping

from tests.property.reader import read_parameters
from unitgen.schema import Key

PLAIN = re.compile(r"[A-Za-z0-9_.:,;@/+=~µμ -]*")
"""What numbers, names and lists of them are made of, as they are emitted."""


def read_text(raw: str) -> str:
    """One pair of quotes round the whole is removed."""
    for quote in "\"'":
        if len(raw) > 1 and raw[0] == raw[-1] == quote and raw.count(quote) == 2:
            return raw[1:-1]
    return raw


def simplify(path: str) -> str:
    """path_simplify() of src/basic/path-util.c."""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _read_credential(raw: str) -> list[str]:
    name, _, path = raw.partition(":")
    return [f"{name}:{simplify(path) if path.startswith('/') else path}"]


# By the name of the type. What is not here is made of plain characters when it is emitted.
_MODELS: Mapping[str, Callable[[str], list[str]]] = {
    "text": lambda raw: [read_text(raw)],
    "path": lambda raw: [simplify(raw)],
    "PATH[:PATH]": lambda raw: [":".join(map(simplify, raw.split(":", 1)))],
    "path or base64:DATA": lambda raw: [simplify(raw) if raw.startswith("/") else raw],
    "words": read_parameters,
    "NAME=VALUE ...": read_parameters,
    "SOURCE[:DESTINATION[:OPTIONS]]": lambda raw: [raw],
    "PATH[:OPTIONS]": lambda raw: [raw],
    "LOWER[:LOWER...]:UPPER:DESTINATION": lambda raw: [raw],
    "ID:VALUE": lambda raw: [raw],
    "ID:PATH": _read_credential,
}


def list_words(row: Key, raw: str) -> list[str] | None:
    """The arguments that a value asks for; None where only plain characters are to be expected."""
    if not raw:
        return []  # an empty assignment takes back what was said
    if row.type.name == "boolean or path":
        return [row.option.replace("{}", simplify(raw))] if raw.startswith("/") else None
    model = _MODELS.get(row.type.name)
    if not model:
        return None
    if row.name == "Parameters":
        words = model(raw)
        return ["--", *words] if words else []
    return [row.option.replace("{}", word) for word in model(raw)] if row.option else []


_MOUNTED = ("Directory", "Image", "Template", "MStack", "OCIBundle")


def list_mounts(row: Key, raw: str) -> list[str]:
    """The paths of the host that a value names."""
    if row.name in _MOUNTED:
        return [simplify(raw)] if raw else []
    fields = _split_fields(raw) if row.name in ("Bind", "BindReadOnly", "Overlay", "OverlayReadOnly") else []
    if row.name.startswith("Bind"):
        fields = fields[:1]
    elif len(fields) > 2:
        fields = fields[:-1]
    return [simplify(field) for field in fields if field.startswith("/")]


def _split_fields(raw: str) -> list[str]:
    """A backslash makes the next character an ordinary one, also where that is a colon."""
    protected = re.sub(r"\\(.)", lambda match: f"\0{ord(match[1]):x}\0", raw, flags=re.DOTALL)
    return [
        re.sub("\0([0-9a-f]+)\0", lambda match: chr(int(match[1], 16)), field)
        for field in protected.split(":")
    ]


# What has to stand beside a key, so that it is not refused for the want of it.
_IMAGE = "[Container]\nImage=/srv/x.raw\n"
_USER = "[Files]\nBindUser=alice\n"
_JOURNAL = "[Exec]\nForwardJournal=/srv/journal\n"
_COMMAND = "[Exec]\nProcessTwo=yes\nParameters=x\n"
_COMPANY: Mapping[str, str] = {
    **dict.fromkeys(("RootHash", "RootHashSignature", "RootVerity", "ImagePolicy"), _IMAGE),
    **dict.fromkeys(("BindUserShell", "BindUserGroup"), _USER),
    **{f"ForwardJournal{name}": _JOURNAL for name in ("MaxUse", "KeepFree", "MaxFileSize", "MaxFiles")},
    "AmbientCapability": _COMMAND,
    "PrivateUsers": "[Network]\nVirtualEthernet=yes\n",
    "PrivateUsersDelegate": "[Exec]\nPrivateUsers=managed\n[Network]\nVirtualEthernet=yes\n",
    "BridgeAddress": "[Network]\nBridge=br7\n",
    "Template": "[Container]\nDirectory=/srv/new\n",
}


def find_company(row: Key) -> str:
    """The beginning of a spec in which a key may stand."""
    return _COMPANY.get(row.name, "[Container]\n")


_PATHS = ("Directory", "Image", "Template", "MStack", "OCIBundle", "Overlay", "OverlayReadOnly")
_EXTRA: Mapping[str, frozenset[tuple[str, str]]] = {
    **{name: frozenset({("Unit", "RequiresMountsFor")}) for name in _PATHS},
    **{
        name: frozenset({("Unit", "RequiresMountsFor"), ("Service", "DeviceAllow")})
        for name in ("Image", "Bind", "BindReadOnly")
    },
    **{
        name: frozenset({("Unit", name)})
        for name in ("After", "Before", "Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Conflicts")
    },
    "OOMScoreAdjust": frozenset({("Service", "OOMScoreAdjust")}),
    **dict.fromkeys(("Boot", "ProcessTwo"), frozenset({("Service", "SuccessExitStatus")})),
    "Share": frozenset({("Unit", "BindsTo"), ("Unit", "AssertPathExists")}),
    "BridgeAddress": frozenset({("Unit", "Wants")}),
}


def list_extra(row: Key) -> frozenset[tuple[str, str]]:
    """The directives that a key may add to those which every container has."""
    return _EXTRA.get(row.name, frozenset())
