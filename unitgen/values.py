"""One string to one typed value, or BadValue. The syntax is that of systemd.nspawn(5).

A parser returns the value in the form in which the option of systemd-nspawn(1) takes it, so that nothing
downstream has to know the syntax again.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from unitgen.amounts import parse_rlimit, parse_size
from unitgen.errors import BadValue
from unitgen.model import Value


class Type(NamedTuple):
    """A kind of value: its name in documentation, and its parser."""

    name: str
    parse: Callable[[str], Value]


_BOOLEANS = dict.fromkeys(("1", "yes", "y", "true", "t", "on"), True)
_BOOLEANS |= dict.fromkeys(("0", "no", "n", "false", "f", "off"), False)

# capabilities(7), in the kernel's order, up to Linux 6.18.
_CAPABILITIES = frozenset(
    "CAP_" + name
    for name in """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split()
)
_SIGNALS = frozenset(
    """HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN
    TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS""".split()
)
_MACHINE = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)*")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|[0-9]+")
_ID = re.compile(r"[A-Za-z0-9._@:+-]{1,255}")
C_ESCAPE = re.compile(
    r"""\\([abfnrtvs\\"']|x[0-9a-fA-F]{2}|[0-3][0-7]{2}"""
    r"""|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|U00(0[0-9a-fA-F]|10)[0-9a-fA-F]{4})"""
)
"""The escapes of systemd.syntax(7)."""


def split_blanks(text: str) -> list[str]:
    """Words between the blanks that systemd knows; str.split() takes those of Unicode for blanks, too."""
    return re.findall("[^ \t\n\r]+", text)


def refuse_open_backslash(text: str, what: str) -> None:
    """Raise BadValue for a backslash that would take the next thing for an ordinary character."""
    if len(text) - len(text.rstrip("\\")) & 1:
        raise BadValue(f"a backslash ends the {what}", r"write \\ for a backslash")


def split_words(text: str, *, escapes: bool = False) -> tuple[str, ...]:
    """Words separated by blanks, quotes removed; a backslash is an ordinary character.

    That is extract_first_word() with EXTRACT_UNQUOTE|EXTRACT_RETAIN_ESCAPE, as config_parse_strv() calls it.
    With `escapes`, a backslash protects the next character and both are kept: enough to find the words'
    ends in Exec lines of units.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    chars = iter(text)
    for char in chars:
        if char in " \t" and not quote:
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        word = [] if word is None else word
        if escapes and char == "\\":
            word += char, next(chars, "")
        elif char == quote:
            quote = ""
        elif char in "\"'" and not quote:
            quote = char
        else:
            word.append(char)
    if quote:
        raise BadValue(f"the quote {quote} is never closed", "close it")
    return tuple(words) if word is None else (*words, "".join(word))


def parse_boolean(text: str) -> bool:
    """systemd.syntax(7): 1, yes, true, on; 0, no, false, off."""
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise BadValue(f"{text!r} is not a boolean", "write yes or no")
    return value


def parse_text(text: str) -> str:
    """Anything; one pair of quotes round the whole is removed."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text.count(text[0]) == 2:
        return text[1:-1]
    return text


def parse_path(text: str) -> str:
    """An absolute path, simplified as path_simplify() does."""
    if not text.startswith("/"):
        raise BadValue(f"{text!r} is not an absolute path", "begin it with /")
    if "\t" in text:
        raise BadValue(f"{text!r} contains a tab, which no unit can express in a path", "rename it")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadValue(f"{text!r} contains ..", "write the path without it")
    if len(text.encode()) >= 4096 or any(len(part.encode()) > 255 for part in parts):
        raise BadValue("the path is longer than the kernel allows", "shorten it")
    return "/" + "/".join(parts)


def parse_machine(text: str) -> str:
    """A machine name: hostname rules, at most 64 characters, no underscore."""
    if len(text) > 64 or not _MACHINE.fullmatch(text):
        hint = "use letters, digits, - and . (no _), at most 64 characters"
        raise BadValue(f"{text!r} is not a machine name", hint)
    return text


def parse_machines(text: str) -> tuple[str, ...]:
    """Machine names separated by blanks."""
    for name in split_blanks(text):
        if name.endswith((".service", ".target", ".socket", ".mount", ".timer", ".path", ".slice")):
            raise BadValue(f"{name!r} is a unit", "write the bare name of a container, or use [Unit]")
    return tuple(map(parse_machine, split_blanks(text)))


def choice(
    *values: str, boolean: bool = False, other: Callable[[str], str] | None = None
) -> Callable[[str], str]:
    """A parser for one of `values`; with `boolean` also yes and no, with `other` what that accepts."""
    accepted = [*values, *(("yes", "no") if boolean else ())]

    def parse(text: str) -> str:
        if text in values:
            return text
        if boolean and text.lower() in _BOOLEANS:
            return "yes" if _BOOLEANS[text.lower()] else "no"
        if other:
            try:
                return other(text)
            except BadValue as error:
                raise BadValue(str(error), f"write {', '.join(accepted)}, or {error.hint}") from None
        raise BadValue(f"{text!r} is not known here", f"write {' or '.join(accepted)}")

    return parse


def each(parse: Callable[[str], str], *, quotes: bool = True) -> Callable[[str], tuple[str, ...]]:
    """A parser for words separated by blanks, each parsed by `parse`."""

    def parse_all(text: str) -> tuple[str, ...]:
        return tuple(map(parse, split_words(text) if quotes else split_blanks(text)))

    return parse_all


def parse_assignment(text: str) -> str:
    """NAME=VALUE for Environment=; a bare NAME copies from the environment of the service."""
    name = text.partition("=")[0]
    if not _ENV_NAME.fullmatch(name):
        hint = "write NAME=VALUE, NAME of letters, digits and _; quote it whole if VALUE has blanks"
        raise BadValue(f"{name!r} is not the name of a variable", hint)
    return text


def parse_user(text: str) -> str:
    """A user name or number inside the container."""
    if not _USER.fullmatch(text) or len(text) > 31:
        raise BadValue(f"{text!r} is not a user name", "write a name or a number")
    return text


def _parse_bound_user(text: str) -> str:
    """systemd-nspawn takes the strictest kind of name for what it binds."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_-]{0,30}", text):
        raise BadValue(f"{text!r} is not a user name", "write a name of letters, digits, _ and -")
    return text


def parse_capability(text: str) -> str:
    """capabilities(7), with the CAP_ in front, or all."""
    if text != "all" and text.upper() not in _CAPABILITIES:
        hint = "write names like CAP_NET_ADMIN separated by blanks, or all"
        raise BadValue(f"{text!r} is not a capability", hint)
    return text if text == "all" else text.upper()


def parse_own_capability(text: str) -> str:
    """As parse_capability(), without all: AmbientCapability= does not take it."""
    if text == "all":
        raise BadValue("all is not accepted here", "name the capabilities")
    return parse_capability(text)


def parse_signal(text: str) -> str:
    """A signal by name, with or without SIG, or number; signal(7)."""
    name = text.upper().removeprefix("SIG")
    real_time = re.fullmatch(r"RTMIN(\+([0-9]{1,2}))?|RTMAX(-([0-9]{1,2}))?", name)
    if real_time and int(real_time[2] or real_time[4] or 0) <= 30:
        return "SIG" + name
    if name in _SIGNALS:
        return "SIG" + name
    if re.fullmatch("[1-9][0-9]?", text) and int(text) <= 64:
        return text
    raise BadValue(f"{text!r} is not a signal", "write a name like SIGTERM or SIGRTMIN+3")


def parse_id128(text: str) -> str:
    """A machine id: 32 hexadecimal digits, or a UUID; not all zero."""
    plain = text.replace("-", "") if re.fullmatch(r"[^-]{8}(-[^-]{4}){3}-[^-]{12}", text) else text
    if not re.fullmatch("[0-9a-fA-F]{32}", plain) or not plain.strip("0"):
        raise BadValue(f"{text!r} is not a machine id", "write 32 hexadecimal digits, not all 0")
    return plain.lower()


def parse_number(low: int, high: int) -> Callable[[str], str]:
    """A parser for an integer between `low` and `high`."""

    def parse(text: str) -> str:
        if not re.fullmatch("[+-]?(0|[1-9][0-9]{0,18})", text) or not low <= int(text) <= high:
            raise BadValue(f"{text!r} is not a number from {low} to {high}", f"write {low} to {high}")
        return str(int(text))

    return parse


def parse_cpus(text: str) -> str:
    """CPU numbers and ranges, separated by blanks or commas."""
    words = split_blanks(text.replace(",", " "))
    for word in words:
        first, dash, last = word.partition("-")
        numbers = [first, last] if dash else [first]
        sound = all(re.fullmatch("0|[1-9][0-9]{0,3}", number) and int(number) < 8192 for number in numbers)
        if not sound or (dash and int(first) > int(last)):
            raise BadValue(f"{word!r} is not a CPU or a range of them", "write like 0-3 or 0,2")
    if not words:
        raise BadValue("no CPU is named", "write like 0-3 or 0,2")
    return ",".join(words)


# systemd-analyze syscall-filter, 252 to 262.
_SYSCALL_GROUPS = frozenset(
    "@" + name
    for name in """default aio basic-io chown clock cpu-emulation debug file-system io-event ipc keyring
    memlock module mount network-io obsolete pkey privileged process raw-io reboot resources sandbox setuid
    signal swap sync system-service timer known""".split()
)


def parse_syscalls(text: str) -> str:
    """System calls and @groups separated by blanks; ~ in front makes a deny list."""
    words = split_blanks(text.removeprefix("~"))
    for word in words:
        if not (word in _SYSCALL_GROUPS if word.startswith("@") else re.fullmatch("[a-z0-9_]+", word)):
            hint = "write names like chroot or @mount, with one ~ in front to deny them"
            raise BadValue(f"{word!r} is not a system call", hint)
    if not words:
        raise BadValue("no system call is named", "write names like chroot or @mount")
    return ("~" if text.startswith("~") else "") + " ".join(words)


def parse_credential_id(text: str) -> str:
    """The name of a credential: a file name."""
    if not _ID.fullmatch(text) or text in (".", ".."):
        raise BadValue(f"{text!r} is not the name of a credential", "write ID:VALUE, ID like a file name")
    return text


def parse_set_credential(text: str) -> str:
    """ID:VALUE; VALUE has C escapes, which systemd-nspawn resolves (an unknown one is fatal to it)."""
    name, colon, value = text.partition(":")
    if not colon:
        raise BadValue(f"{text!r} has no value", "write ID:VALUE")
    if "\\" in C_ESCAPE.sub("", value):
        raise BadValue("the value has a backslash that begins no C escape", r"write \\ for a backslash")
    return f"{parse_credential_id(name)}:{value}"


def parse_load_credential(text: str) -> str:
    """ID:PATH; a relative PATH is the ID of a credential of the service."""
    name, colon, path = text.partition(":")
    if not colon or not path:
        raise BadValue(
            f"{text!r} names no file", "write ID:/PATH, or ID:NAME for a LoadCredential= of [Service]"
        )
    source = parse_path(path) if path.startswith("/") else parse_credential_id(path)
    return f"{parse_credential_id(name)}:{source}"


TEXT = Type("text", parse_text)
BOOLEAN = Type("boolean", parse_boolean)
PATH = Type("path", parse_path)
MACHINE = Type("machine name", parse_machine)
MACHINES = Type("machine names", parse_machines)
WORDS = Type("words", split_words)
ENVIRONMENT = Type("NAME=VALUE ...", each(parse_assignment))
USER = Type("user", parse_user)
USERS = Type("users", each(_parse_bound_user))
CAPABILITIES = Type("capabilities", each(parse_capability))
OWN_CAPABILITIES = Type("capabilities", each(parse_own_capability))
SIGNAL = Type("signal", parse_signal)
ID128 = Type("machine id", parse_id128)
CPUS = Type("CPUs", parse_cpus)
SYSCALLS = Type("[~]system calls", parse_syscalls)
SIZE = Type("size", parse_size)
SET_CREDENTIAL = Type("ID:VALUE", parse_set_credential)
LOAD_CREDENTIAL = Type("ID:PATH", parse_load_credential)
RLIMIT = Type("SOFT[:HARD]", parse_rlimit("number"))
RLIMIT_NICE = Type("SOFT[:HARD]", parse_rlimit("nice level"))
RLIMIT_SIZE = Type("SIZE[:SIZE]", parse_rlimit("size"))
RLIMIT_CPU = Type("TIME[:TIME]", parse_rlimit("time in seconds"))
RLIMIT_RTTIME = Type("TIME[:TIME]", parse_rlimit("time in microseconds"))
