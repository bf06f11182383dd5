"""Where files are looked for. Imports only os: the generator looks here at every boot of every host."""

import os

PLACES = ("/etc/unitgen", "/run/unitgen", "/usr/local/lib/unitgen", "/usr/lib/unitgen")
"""Folders for configuration, strongest first."""
FOLDERS = tuple(f"{place}/containers" for place in PLACES)
SUFFIX = ".ini"
PROGRAMS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
TEMPLATES = "/etc/unitgen/templates"
# Debian since 11, Fedora, Arch, and older layouts; the last one where libraries have folders of their own.
LIBRARIES = ("usr/lib/systemd", "usr/lib64/systemd", "lib/systemd", "usr/lib/*-linux-*/systemd")
"""Where the private library of systemd may be, whose name tells the version."""


def any_spec(root: str) -> bool:
    """True if a file name says that there may be something to do."""
    for folder in FOLDERS:
        try:
            if any(name.endswith(SUFFIX) for name in os.listdir(root.rstrip("/") + folder)):
                return True
        except FileNotFoundError:
            if os.path.islink(root.rstrip("/") + folder):
                return True  # it leads nowhere, which has to be reported
        except OSError:
            return True
    return False
