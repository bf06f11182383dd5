"""Runs systemd's own programs. The only importer of subprocess."""

import re
import subprocess


def ask_version() -> int:
    """The version that `systemd-nspawn --version` reports, or 0 if it cannot be had."""
    try:
        command = ["systemd-nspawn", "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.match(r"systemd (\d+)", answer.stdout)
    return int(match[1]) if match else 0
