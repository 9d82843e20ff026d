"""The QEMU of the hosts: the machine's, behind a wrapper where it would corrupt moving guests."""

import functools
import re

from nested.layout import CHECKOUT
from nested.processes import run

PATH = "/usr/bin/qemu-system-x86_64"
WRAPPER = CHECKOUT / "tools" / "nested" / "guest" / "qemu"  # says what it is for
FIRST_SOUND_VERSION = 9


@functools.cache
def needs_wrapper() -> bool:
    """Say whether this machine's QEMU loses writes of an emulated guest that is being migrated."""
    version = re.search(r"version (\d+)\.", run(PATH, "--version"))
    return version is None or int(version.group(1)) < FIRST_SOUND_VERSION
