"""A guest's XML on its way to another host: rewritten by rule, and proven unchanged elsewhere.

Start at :mod:`render`; :mod:`portability` says which guests cannot move at all.
"""

from __future__ import annotations

from migrator.conductor.domain_xml.host_devices import devices_at, unclaimed_devices
from migrator.conductor.domain_xml.landing import Landing
from migrator.conductor.domain_xml.portability import reasons_not_to_move
from migrator.conductor.domain_xml.render import Rendered, RenderRequest, render
from migrator.conductor.domain_xml.whitelist import unexpected_changes

__all__ = [
    "Landing",
    "RenderRequest",
    "Rendered",
    "devices_at",
    "reasons_not_to_move",
    "render",
    "unclaimed_devices",
    "unexpected_changes",
]
