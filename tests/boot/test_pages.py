"""What README and the man pages let people type on a host that has README's container, and what they see."""

import re
from pathlib import Path

import pytest

from tests.boot.inside import wait_for_payload
from tests.pages import HOST_COMMANDS
from tests.testbed.containers import Container
from tests.testbed.host import Host, NspawnHost

README = Path(__file__).parents[2] / "README.md"
SPEC = re.findall(
    r"^```ini\n# /etc/unitgen/containers/web.ini\n(.*?)^```$", README.read_text(), re.M | re.S
)[0]
COMMANDS = [(page, command) for page, commands in HOST_COMMANDS.items() for command in commands]

SPECS = {"web": Container(SPEC)}


def prepare(host: Host) -> None:
    """The folder that is served, and the program that asks for it."""
    host.write("/srv/www/index.html", "Hello from a container\n")
    (host.tree / "usr/local/bin/wget").symlink_to("/bin/busybox")


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda text: text)
def test_command_of_a_page(page: str, command: str, host: NspawnHost) -> None:
    if "$PWD/units" in command:
        # The step before it, which test_docs.py runs. Here there are broken specs of other tests, too.
        host.run("unitgen generate units", check=False)
    wait_for_payload(host, "web")
    output = host.run(command).stdout
    assert re.match(HOST_COMMANDS[page][command], output)
