"""Build script: metadata comes from setup.cfg, the version from git tags by way of pbr.

Without a tag pbr answers 0.0.0 and without git it fails; there the version is the next release's.
"""

import os
import subprocess

import setuptools

NEXT_RELEASE = "0.1.0"
ROOT = os.path.dirname(os.path.abspath(__file__))


def tagged() -> bool:
    """Whether this tree is a git checkout of its own in which a tag can be reached."""
    # An archive unpacked inside another project's checkout must not take that one's tags.
    if not os.path.exists(os.path.join(ROOT, ".git")):
        return False
    described = ["git", "-C", ROOT, "describe", "--tags"]
    return subprocess.run(described, capture_output=True, check=False).returncode == 0


if not os.path.exists(os.path.join(ROOT, "PKG-INFO")) and not tagged():
    os.environ.setdefault("PBR_VERSION", NEXT_RELEASE)

setuptools.setup(setup_requires=["pbr"], pbr=True)
