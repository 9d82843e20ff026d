"""An agent's user at the broker: every name it needs, and none of another agent's."""

from __future__ import annotations

import re

import pytest

from migrator.rpc import agent_rights, rabbitmqctl_lines

MINE = [
    "migrator.agent",
    "migrator.agent.h1",
    "migrator.agent_fanout_machine:migrator-agent-h1:1",
    "reply_machine:migrator-agent-h1:2",
]
OTHERS = [
    "migrator.agent.h2",
    "migrator.agent.h11",
    "migrator.agentxh1",
    "migrator.agent_fanout_machine:migrator-agent-h2:1",
    "reply_machine:migrator-agent-h2:1",
    "reply_machine:migrator-agent-h1:1:migrator-agent-h2:1",
    "reply_machine:migrator-conductor-c1:1",
    "migrator.conductor",
    "migrator.conductor.c1",
]


def allows(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None


@pytest.mark.parametrize("queue", MINE)
def test_an_agent_declares_binds_and_reads_its_own_queues(queue: str) -> None:
    rights = agent_rights("h1")
    assert all(allows(each, queue) for each in (rights.configure, rights.write, rights.read))


@pytest.mark.parametrize("queue", OTHERS)
def test_an_agent_neither_declares_nor_reads_what_is_anothers(queue: str) -> None:
    rights = agent_rights("h1")
    assert not any(allows(each, queue) for each in (rights.configure, rights.write, rights.read))


def test_an_agent_addresses_conductors_and_nobody_else() -> None:
    rights = agent_rights("h1")
    assert allows(rights.keys_written, "migrator.conductor")
    assert not allows(rights.keys_written, "migrator.agent.h2")
    assert not allows(rights.keys_written, "migrator.conductor.c1")


def test_an_agent_gets_no_copy_of_what_goes_to_others() -> None:
    rights = agent_rights("h1")
    assert [key for key in MINE[:2] if allows(rights.keys_read, key)] == MINE[:2]
    assert not any(
        allows(rights.keys_read, key) for key in ("migrator.agent.h2", "#", "migrator.#")
    )


def test_a_name_with_a_dot_allows_no_other_character_there() -> None:
    rights = agent_rights("rack.1")
    assert allows(rights.read, "migrator.agent.rack.1")
    assert not allows(rights.read, "migrator.agent.rackx1")


def test_the_lines_name_every_host_and_no_password() -> None:
    lines = list(rabbitmqctl_lines(["h1", "h2"], "migrator"))
    assert [line for line in lines if line.startswith("rabbitmqctl add_user")] == [
        "rabbitmqctl add_user migrator-agent-h1",
        "rabbitmqctl add_user migrator-agent-h2",
    ]
    assert sum("set_topic_permissions -p migrator" in line for line in lines) == 2
