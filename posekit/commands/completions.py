"""`posekit completions SHELL`: what a shell needs to complete commands, keys and their values.

shtab turns the parser into a script. argparse does not know the `key=value` words after a command:
these are written into the script, so that completing starts no Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from posekit.checkpoints import CHECKPOINTS
from posekit.commands.option_texts import SETTINGS, SHEETS, keys_of
from posekit.config import CONF_DIR, NO_DETECTOR
from posekit.declared import Declared
from posekit.packages import need
from posekit.plain_yaml import read_yaml

__all__ = ["SHELLS", "completions", "words_of"]

SHELLS = ("bash", "zsh", "fish", "tcsh")
# Keys that name a model, and the tasks that it may not be for.
NETWORKS: dict[str, tuple[str, ...]] = {
    "model": (),
    "pose2d": ("detection", "hand 3d", "lifting"),
    "detector": tuple({row.task for row in CHECKPOINTS} - {"detection"}),
}


def completions(shell: str, parser: argparse.ArgumentParser) -> str:
    """A script for a shell.

    Args:
        shell: one of `SHELLS`.
        parser: of `posekit`.

    Raises:
        InputError: shtab is not installed.
    """
    if shell == "fish":  # which shtab does not know
        return _fish(parser)
    shtab = need("shtab", "posekit[completions]", "completions")
    words = {}
    for command, sub in _commands(parser).items():
        for action in sub._actions:
            if _takes_keys(command, action):
                words[command] = words_of(command)
                action.complete = {  # type: ignore[attr-defined]
                    "bash": f"_posekit_{command}",
                    "zsh": f"_posekit_{command}",
                    "tcsh": f"({' '.join(f'{key}=' for key in words[command])})/",
                }
            elif action.dest in ("config_dir", "folder"):
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    preamble: Any = {shell: PREAMBLES[shell](words)}
    script: str = shtab.complete(parser, shell, preamble=preamble)
    if shell == "bash":
        # No space behind `key=`, and files where nothing else is known.
        return f"{script}\n{BASH_END}"
    if shell == "zsh":
        # As many as there are, where shtab takes one for the most.
        return re.sub(r'"\(\*\)::(.*:_posekit_\w+")', r'"*:\1', script)
    if shell == "tcsh":
        # The first rule that fits counts.
        return script.replace(
            "complete posekit \\\n", f"complete posekit \\\n{_tcsh_rules(words)}", 1
        )
    return script


def _takes_keys(command: str, action: argparse.Action) -> bool:
    keys = action.dest in ("settings", "words") and command in SETTINGS
    return action.dest == "overrides" or keys


def words_of(command: str) -> dict[str, tuple[str, ...]]:
    """The keys of a command and the values that each may have; empty if unknown."""
    if command in SETTINGS:
        found = {name: _values(option) for name, option in keys_of(command).items()}
        # Names of models stand by themselves.
        return found | ({"detector": _models("detector")} if "detector" in found else {})
    config = read_yaml(CONF_DIR / f"{command}.yaml")
    words: dict[str, tuple[str, ...]] = {}
    for entry in config.pop("defaults"):
        for group in entry if isinstance(entry, Mapping) else ():
            key = "pose2d" if group == "lifter" else group
            words[key] = _models(key) if key in NETWORKS else _stems(key)
    declared = keys_of(command) if command in SHEETS else {}
    for key in config:
        words[key] = _values(declared[key]) if key in declared else ()
    return words


def _models(key: str) -> tuple[str, ...]:
    rows = [row for row in CHECKPOINTS if row.task not in NETWORKS[key]]
    names = [name for row in rows for name in (*row.aliases, row.name)]
    return tuple(dict.fromkeys([*names, *(NO_DETECTOR if key == "detector" else ())]))


def _stems(group: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")))


def _values(option: Declared) -> tuple[str, ...]:
    values = option.choices or ((True, False) if bool in option.kinds else ())
    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return (*words, *(["null"] if words and option.optional else []))


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _cases(
    words: Mapping[str, tuple[str, ...]],
    line: str,
    case: str = "    {}) {} ;;",
) -> str:
    """Branches of a shell's `case` for the keys whose values are known."""
    known = [(key, " ".join(values)) for key, values in words.items() if values]
    return "\n".join(case.format(key, line.format(values)) for key, values in known)


def _bash(commands: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    functions = [
        f"""\
_posekit_{command}() {{
  _posekit_key
  case "$_posekit_at" in
    "") compgen -S = -W "{" ".join(words)}" -- "$_posekit_word" ;;
{_cases(words, 'compgen -P "$_posekit_before" -W "{}" -- "$_posekit_word"')}
  esac
}}"""
        for command, words in commands.items()
    ]
    return "\n".join([BASH_START, *functions])


# Bash takes `key=value` apart where `=` is one of its breaks between words, as it is by default.
BASH_START = """\
_posekit_key() {
  _posekit_at="" _posekit_before="" _posekit_word="${COMP_WORDS[COMP_CWORD]}"
  if [[ $_posekit_word == = ]]; then
    _posekit_at="${COMP_WORDS[COMP_CWORD-1]}" _posekit_word=""
  elif [[ ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then
    _posekit_at="${COMP_WORDS[COMP_CWORD-2]}"
  elif [[ $_posekit_word == *=* ]]; then
    _posekit_at="${_posekit_word%%=*}" _posekit_before="${_posekit_word%%=*}="
    _posekit_word="${_posekit_word#*=}"
  fi
}"""
BASH_END = """\
_posekit_completions() {
  _shtab_posekit "$@"
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}
complete -o bashdefault -o default -F _posekit_completions posekit
"""


def _zsh(commands: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    return "\n".join(
        f"""\
_posekit_{command}() {{
  if ! compset -P 1 '*='; then
    compadd -S = -- {" ".join(words)}
    return
  fi
  case "${{IPREFIX%=}}" in
{_cases(words, "compadd -- {}")}
    *) _files ;;
  esac
}}"""
        for command, words in commands.items()
    )


def _tcsh_values(commands: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[str, str]:
    """Keys of all commands and their values: a rule of tcsh does not know the command."""
    values: dict[str, dict[str, None]] = {}
    for words in commands.values():
        for key, found in words.items():
            values.setdefault(key, {}).update(dict.fromkeys(found))
    return {key: " ".join(found) for key, found in values.items()}


def _tcsh_variables(commands: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    values = _tcsh_values(commands)
    return "\n".join(f"set _posekit_{key} = ({values[key]})" for key in NETWORKS)


def _tcsh_rules(commands: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    values = _tcsh_values(commands)
    # A list of more than 3,000 characters in a rule is cut; in a variable it is not.
    lists = {key: f"({found})" for key, found in values.items() if found}
    lists |= {key: f"$_posekit_{key}" for key in NETWORKS}
    rules = [f"'c/{key}=/{found}/'" for key, found in lists.items()]
    rules += [f"'c/{key}=/f/'" for key, found in values.items() if not found]
    # Behind the first key; shtab's rules have that one.
    keys = " ".join(f"{key}=" for key in values)
    rules.append(f"'n/*=*/({keys})//'")
    return "".join(f"        {rule} \\\n" for rule in rules)


def _fish(parser: argparse.ArgumentParser) -> str:
    lines = [FISH_START]
    for command, sub in _commands(parser).items():
        lines.append(f"complete -c posekit -n __fish_use_subcommand -fa {command}")
        here = f"complete -c posekit -n '__fish_seen_subcommand_from {command}'"
        for action in sub._actions:
            flags = [flag[2:] for flag in action.option_strings if flag.startswith("--")]
            lines += (f"{here} -l {flag}" for flag in flags)
            if _takes_keys(command, action):
                words = words_of(command)
                lines += [_fish_function(command, words), f"{here} -fa '(_posekit_{command})'"]
            elif action.choices and not action.option_strings:
                lines.append(f"{here} -fa '{' '.join(map(str, action.choices))}'")
    return "\n".join(lines)


def _fish_function(command: str, words: Mapping[str, tuple[str, ...]]) -> str:
    cases = _cases(words, FISH_VALUES, "    case {}=; {}")
    return f"""\
function _posekit_{command}
  set -l key (string match -r '^[^=]*=' -- (commandline -ct))
  switch "$key"
    case ''
      printf '%s=\\n' {" ".join(words)}
      __fish_complete_path (commandline -ct)
{cases}
    case '*'
      printf '%s\\n' $key(__fish_complete_path (string replace -- $key '' (commandline -ct)))
  end
end"""


FISH_VALUES = r'printf "$key%s\n" {}'
FISH_START = "complete -c posekit -e"

PREAMBLES = {"bash": _bash, "zsh": _zsh, "tcsh": _tcsh_variables}
