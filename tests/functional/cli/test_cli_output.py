"""What commands print, for programs and for people."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from migrator.cli import words
from migrator.cli.app import COMMANDS
from migrator.cli.migrations import KEYS
from migrator.messages import ClaimFinding
from tests.functional.cli.terminal import Terminal


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("host", "list"), {"name", "state", "alive", "claimed_memory_mib", "pools"}),
        (("instance", "list"), {"id", "name", "host", "status", "candidates"}),
        (("claim", "list"), {"host", "instance", "purpose", "memory_mib"}),
        (("migration", "list"), set(KEYS)),
    ],
)
def test_lists_are_arrays_of_whole_objects_for_programs(
    terminal: Terminal, command: tuple[str, ...], keys: set[str]
) -> None:
    terminal.migrate()
    ran = terminal.run(*command, "-f", "json")
    assert ran.code == 0
    assert ran.err == ""
    assert keys <= set(ran.document[0])
    assert yaml.safe_load(terminal.run(*command, "-f", "yaml").out)[0].keys() == (
        ran.document[0].keys()
    )


def test_show_prints_the_apis_object_with_exactly_its_keys(terminal: Terminal) -> None:
    made = terminal.migrate()
    assert tuple(made) == KEYS
    assert made["queue"] == {"position": 1, "limit": "source"}
    assert made["actions"][0]["action"] == "migrate"
    assert made["memory_total"] is None
    terminal.conductor.clock = lambda: 10.0**9
    shown = terminal.run("migration", "show", made["id"][:8], "-f", "json").document
    assert tuple(shown) == KEYS
    assert (shown["state"], shown["downtime_ms"], shown["queue"]) == ("completed", 42, None)


def test_an_instance_and_a_host_are_shown_whole(terminal: Terminal) -> None:
    host = terminal.run("host", "show", "h3", "-f", "json").document
    assert (host["alive"], host["arch"], host["pools"]) == (False, None, ["local", "shared"])
    instance = terminal.run("instance", "show", "unsure", "-f", "json").document
    assert (instance["host"], instance["candidates"]) == (None, ["h1", "h2"])


def test_shells_get_raw_values_and_lists_as_json(terminal: Terminal) -> None:
    line = terminal.run("host", "list", "-f", "value", "-c", "name", "-c", "pools").out
    assert line.splitlines()[0] == 'h1 ["local", "shared"]'
    rows = list(csv.DictReader(io.StringIO(terminal.run("host", "list", "-f", "csv").out)))
    assert (rows[0]["memory_mib"], json.loads(rows[0]["alive"])) == ("32768", True)
    value = terminal.run("host", "show", "h1", "-f", "value", "-c", "memory_mib").out
    assert value == "32768\n"


def test_people_read_units_and_reasons(terminal: Terminal) -> None:
    table = terminal.run("host", "list").out
    assert "3.0 GiB of 32.0 GiB" in table
    assert "no: no report for 31 s" in table
    assert "h1 or h2?" in terminal.run("instance", "list").out


def test_any_column_can_be_asked_for_by_a_person_too(terminal: Terminal) -> None:
    table = terminal.run("host", "list", "-c", "name", "-c", "libvirt_version").out
    assert table.splitlines()[1] == "| name | libvirt_version |"


def test_names_cannot_command_the_terminal(terminal: Terminal) -> None:
    assert "\x1b" not in terminal.run("instance", "list").out
    ran = terminal.run("instance", "show", "\x1b[31m")
    assert ran.code == 2
    assert "\x1b" not in ran.err


def test_lists_are_sorted_by_what_is_meant_not_by_what_is_read(terminal: Terminal) -> None:
    ran = terminal.run(
        "instance", "list", "-c", "name", "--sort-column", "memory_mib", "--sort-descending"
    )
    assert "web front" in ran.out.splitlines()[3]


def test_an_empty_list_says_so_and_stays_a_document(terminal: Terminal) -> None:
    ran = terminal.run("migration", "list", "-f", "json")
    assert (ran.code, ran.document, ran.err) == (0, [], "there are no migrations yet\n")


@pytest.mark.parametrize(
    ("option", "found"),
    [
        (("--active",), 1),
        (("--forced",), 0),
        (("--needs-attention",), 0),
        (("--instance", "g1"), 1),
        (("--host", "h9"), 0),
    ],
)
def test_migrations_are_listed_by_what_is_asked_for(
    terminal: Terminal, option: tuple[str, ...], found: int
) -> None:
    terminal.migrate()
    assert len(terminal.run("migration", "list", "-f", "json", *option).document) == found


def test_the_list_of_migrations_says_what_holds_each(terminal: Terminal) -> None:
    terminal.conductor.clock = lambda: 0.0
    made = terminal.migrate()
    table = terminal.run("migration", "list").out
    assert made["id"][:8] in table
    assert "number 1" in table


def test_a_forced_migration_is_recorded_as_such(terminal: Terminal) -> None:
    made = terminal.migrate("--host", "h2", "--force", "--reason", "disk of h1 is dying")
    assert made["mode"] == "force"
    assert len(terminal.run("migration", "list", "--forced", "-f", "json").document) == 1


def test_a_dry_run_is_its_document_for_programs_and_verdicts_for_people(
    terminal: Terminal,
) -> None:
    document = terminal.run("migrate", "g1", "--dry-run", "-f", "json").document
    assert list(document) == ["instance", "chosen", "hosts", "methods", "forecast"]
    assert document["hosts"][1]["refusals"][0]["filter"] == "memory"
    text = terminal.run("migrate", "g1", "--dry-run").out
    assert "would go to h2\n" in text
    assert "\n  precopy" in text
    assert "memory.insufficient: h3 has 512 MiB free and 1024 are needed" in text
    assert "migrate" not in terminal.conductor.calls


def test_events_are_a_trace_with_relative_times(terminal: Terminal) -> None:
    made = terminal.migrate()
    terminal.conductor.clock = lambda: 10.0**9
    events = terminal.run("migration", "events", made["id"], "-f", "json").document
    assert [event["seq"] for event in events] == list(range(1, 11))
    assert set(events[0]) == {"seq", "at", "kind", "text", "facts"}
    table = terminal.run("migration", "events", made["id"]).out
    assert "| 7.5 s  | state | the guest was seen running on h2" in table


@pytest.mark.parametrize("formatter", ["table", "json"])
def test_events_are_followed_to_the_end(terminal: Terminal, formatter: str) -> None:
    made = terminal.migrate()
    ran = terminal.run("migration", "events", made["id"], "--follow", "-f", formatter)
    assert ran.code == 0
    if formatter == "json":
        assert len(ran.document) == 10
    else:
        assert ran.out.splitlines()[-1].endswith("finished")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mig", ["migrate", "migration"]),
        ("host ", ["disable", "enable", "list", "set", "show"]),
        ("instance show g", ["g1"]),
        ("migrate w", ["web\\ front"]),
        ("migrate g1 --re", ["--reason", "--request-id"]),
        ("migrate g1 --host h", ["h1", "h2", "h3"]),
        ("migrate g1 --host = h", ["h1", "h2", "h3"]),
        ("migrate g1 --bandwidth ", []),
        ("host list -f j", ["json"]),
        ("help mig", ["migrate", "migration"]),
        ("help host s", ["set", "show"]),
        ("help host show ", []),
    ],
)
def test_bash_completes_commands_options_and_names(
    terminal: Terminal, tmp_path: Path, typed: str, offered: list[str]
) -> None:
    program = tmp_path / "migrator"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m migrator.cli.main "$@"\n')
    program.chmod(0o755)
    # The word under the cursor is the last one, empty after a space.
    asked = f"""
        {terminal.run("complete").out}
        set -eu
        COMP_WORDS=({program} {typed}{'""' if typed.endswith(" ") else ""})
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _migrator {program}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == (offered or [""])


def test_completion_never_runs_a_name(terminal: Terminal, tmp_path: Path) -> None:
    program = tmp_path / "migrator"
    program.write_text("#!/bin/sh\necho '$(touch ran)'\n")
    program.chmod(0o755)
    script = terminal.run("complete").out
    asked = f"{script}\nCOMP_WORDS=(migrator migrate '')\nCOMP_CWORD=2\n_migrator {program}"
    show = """; printf '%s' "${COMPREPLY[0]}" """
    done = subprocess.run(
        ["bash", "-c", asked + show], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == r"\$\(touch\ ran\)"
    assert not (tmp_path / "ran").exists()


def test_every_command_explains_itself(terminal: Terminal) -> None:
    listed = terminal.run("--help").out
    for command in COMMANDS:
        assert f"  {command} " in listed
        ran = terminal.run(*command.split(), "--help")
        assert ran.code == 0
        assert f"usage: migrator {command}" in ran.out
        assert "%" not in ran.out


def test_the_version_is_one_line(terminal: Terminal) -> None:
    ran = terminal.run("--version")
    assert (ran.code, ran.out.split()[0], ran.out.count("\n")) == (0, "migrator", 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (4096, "4 KiB"),
        (312 * 1024**2, "312 MiB"),
        (1024**3, "1.0 GiB"),
        (1500 * 1024**3, "1.5 TiB"),
    ],
)
def test_sizes_are_read_in_the_unit_that_fits(value: int | None, text: str) -> None:
    assert words.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (42, "42 ms"),
        (7480, "7.5 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_durations_are_read_in_the_unit_that_fits(value: int | None, text: str) -> None:
    assert words.duration_ms(value) == text


def test_an_audit_that_finds_nothing_says_so_and_exits_0(terminal: Terminal) -> None:
    ran = terminal.run("claim", "audit")
    assert (ran.code, ran.out, ran.err.strip()) == (0, "", "every claim is what its host has")
    assert terminal.run("claim", "audit", "-f", "json").document == []


@pytest.mark.parametrize(("finding", "code"), [("leaked", 1), ("foreign", 1), ("unchecked", 3)])
def test_an_audit_exits_by_what_it_finds(terminal: Terminal, finding: str, code: int) -> None:
    found = ClaimFinding(host="h1", instance="g1", finding=finding, message="why")
    terminal.conductor.findings = [found]
    ran = terminal.run("claim", "audit", "-f", "json")
    assert ran.code == code
    assert ran.document == [{"host": "h1", "instance": "g1", "finding": finding, "message": "why"}]


def test_a_claims_own_parts_are_shown(terminal: Terminal) -> None:
    assert "CPU 2, 3; 0000:3b:02.1" in terminal.run("claim", "list").out


def test_a_host_is_labelled_and_its_state_set(terminal: Terminal) -> None:
    done = terminal.run(
        "host",
        "set",
        "h2",
        "--state",
        "draining",
        "--tag",
        "ssd",
        "--tag",
        "gpu",
        "--zone",
        "row-1",
    )
    assert done.out == "h2 is draining; tags: ssd, gpu; zone: row-1\n"
    cleared = terminal.run("host", "set", "h2", "--no-tags", "--no-zone", "-f", "json").document
    assert (cleared["tags"], cleared["zone"], cleared["state"]) == ([], None, "draining")
    nothing = terminal.run("host", "set", "h2")
    assert (nothing.code, nothing.err.partition(":")[0]) == (2, "request.invalid")


def test_an_instances_wishes_are_set_shown_and_cleared(terminal: Terminal) -> None:
    done = terminal.run(
        *("instance", "set", "g1", "--tag", "ssd", "--anti-affinity", "web", "--threads", "isolate")
    )
    assert done.out.endswith("anti-affinity: web; tags: ssd; threads: isolate\n")
    assert "anti-affinity: web" in terminal.run("instance", "show", "g1").out
    cleared = terminal.run(
        *("instance", "set", "g1", "--clear", "tags", "--clear", "threads", "-f", "json")
    ).document
    assert cleared["wishes"]["tags"] == []
    assert cleared["wishes"]["threads"] is None
    assert cleared["wishes"]["anti_affinity"] == ["web"]


def test_what_is_no_label_is_refused_with_the_field(terminal: Terminal) -> None:
    done = terminal.run("instance", "set", "g1", "--tag", "a b")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("request.invalid: tags 'a b' is no label")
