"""Classes that documents become are made ready before there are threads.

msgspec learns what a class is made of at its first use, and keeps that before it is whole: two threads
that used one at once ended the process with a segmentation fault (msgspec 0.22).
"""

from __future__ import annotations

import msgspec


def prepare(*classes: type) -> None:
    """To be called where they are declared; with them everything that they are made of."""
    for each in classes:
        msgspec.json.Decoder(each)
