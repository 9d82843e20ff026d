"""What completes the command line in bash.

Needs nothing but bash itself. Names of hosts, instances and migrations are asked from the service
while somebody types; they are inserted quoted and are never shell text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping

SOURCES = {
    "HOST": "host list -f value -c name",
    "INSTANCE": "instance list -f value -c name",
    "MIGRATION": "migration list --limit 20 -f value -c id",
}
"""What an argument names -> the command that lists those there are."""

HEADER = """\
# bash completion for PROGRAM: eval "$(PROGRAM complete)"
_PROGRAM()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local at=1 command= choices= list= word
    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    [[ ${COMP_WORDS[1]} == help && $COMP_CWORD -gt 1 ]] && at=2
    if [[ $COMP_CWORD -gt $at ]]; then
        command=${COMP_WORDS[at]}
        if [[ " NOUNS " != *" $command "* ]]; then
            at=$(( at + 1 ))
        elif [[ $COMP_CWORD -gt $(( at + 1 )) ]]; then
            command+=" ${COMP_WORDS[at+1]}"
            at=$(( at + 2 ))
        fi
        if [[ ${COMP_WORDS[1]} == help && $COMP_CWORD -ge $at && $at -gt 2 ]]; then return; fi
        if [[ $COMP_CWORD -eq $at && $cur != -* ]]; then command+=" argument"; fi
    fi
    case "$command|$prev" in
"""

FOOTER = """\
    esac
    if [[ -n $list ]]; then choices=$("$1" $list 2>/dev/null); fi
    while IFS= read -r word; do
        if [[ -n $word && $word == "$cur"* ]]; then COMPREPLY+=("$(printf %q "$word")"); fi
    done <<<"$choices"
}
complete -F _PROGRAM PROGRAM
"""


def script(program: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """The text that bash reads.

    :param parsers: command -> its parser.
    """
    nouns = dict.fromkeys(name.split()[0] for name in parsers if " " in name)
    cases = [_offer('"|"*', dict.fromkeys(name.split()[0] for name in parsers))]
    for noun in nouns:
        verbs = [name.split()[1] for name in parsers if name.startswith(f"{noun} ")]
        cases.append(_offer(f'"{noun}|"*', verbs))
    for name, parser in parsers.items():
        cases += _of_command(name, parser)
    text = HEADER.replace("NOUNS", " ".join(nouns)) + "".join(cases) + FOOTER
    return text.replace("PROGRAM", program)


def _of_command(name: str, parser: argparse.ArgumentParser) -> list[str]:
    cases = []
    options: list[str] = []
    first = None
    for action in parser._actions:
        metavar = str(action.metavar)
        if not action.option_strings:
            first = first or metavar
            continue
        if action.help != argparse.SUPPRESS:
            options += [option for option in action.option_strings if option.startswith("--")]
        pattern = "|".join(f'"{name}|{option}"' for option in action.option_strings)
        if action.choices:
            cases.append(_offer(pattern, map(str, action.choices)))
        elif metavar in SOURCES:
            cases.append(_ask(pattern, metavar))
        elif action.nargs != 0:
            cases.append(f"        {pattern}) ;;\n")
    if first in SOURCES:
        cases.append(_ask(f'"{name} argument|"*', first))
    cases.append(_offer(f'"{name}|"*|"{name} argument|"*', options))
    return cases


def _offer(pattern: str, words: Iterable[str]) -> str:
    lines = "\\n".join(words)
    return f"        {pattern}) choices=$'{lines}' ;;\n"


def _ask(pattern: str, metavar: str) -> str:
    return f"        {pattern}) list='{SOURCES[metavar]}' ;;\n"
