"""What is asked of a transfer adds up."""

from __future__ import annotations

from migrator.compute_agent.monitor.asks import AbortAsked, Asks, ForceAsked, ForceMethod, Tune


def test_asks_of_different_kinds_stand_beside_each_other() -> None:
    asks = Asks().plus(ForceAsked()).plus(AbortAsked()).plus(Tune(bandwidth_mib_s=5))
    assert asks == Asks(abort=True, force=ForceMethod.AUTO, tune=Tune(bandwidth_mib_s=5))


def test_a_newer_ask_replaces_what_it_speaks_of_and_nothing_else() -> None:
    asks = Asks().plus(Tune(bandwidth_mib_s=5, max_downtime_ms=100)).plus(Tune(bandwidth_mib_s=0))
    assert asks.tune == Tune(bandwidth_mib_s=0, max_downtime_ms=100)
    assert asks.plus(ForceAsked(ForceMethod.PAUSE)).force is ForceMethod.PAUSE
