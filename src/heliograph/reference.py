"""The page docs/cli.md, made from the arguments that the command line takes.

`python -m heliograph.reference > docs/cli.md` writes it. It is made from the parsers and not from their help, whose
layout differs between versions of Python.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from heliograph.cli import parser

_INTRODUCTION = """\
# The command line

This page is made from the code: `python -m heliograph.reference > docs/cli.md`.

Every command takes its settings from `--config FILE` and from the environment, as [Settings](settings.md) says, and the
address of the database also from `--database URL`. Lists are columns for people, and JSON with `--json`.

The exit status is 0 when the command did what was asked, 1 when it could not (one line on standard error says why), and
2 when the arguments are wrong.

```console
$ heliograph migrate
$ heliograph organizations create Acme
$ KEY=$(heliograph keys create)
$ PROFILE=$(heliograph profiles create Main --pool)
$ heliograph numbers add +13125550123 --profile $PROFILE
$ heliograph doctor
$ heliograph serve
```
"""

_EVERYWHERE = frozenset({"help", "config", "database"})


def reference() -> str:
    """The page."""
    return _INTRODUCTION + "".join(_section(each) for each in commands_of(parser()))


def commands_of(parent: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands, in the order they are declared in."""
    for action in parent._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                below = list(commands_of(each))
                yield from below or [each]


def _section(command: argparse.ArgumentParser) -> str:
    own = [
        action for action in command._actions if action.dest not in _EVERYWHERE and action.help is not argparse.SUPPRESS
    ]
    usage = " ".join([command.prog, *(_in_usage(action) for action in own)])
    return f"\n## {command.prog}\n\n{command.description}\n\n    {usage}\n{_table(own)}"


def _in_usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    option = f"{_name(action)} ..." if isinstance(action, argparse._AppendAction) else _name(action)
    return option if action.required else f"[{option}]"


def _table(actions: Sequence[argparse.Action]) -> str:
    if not actions:
        return ""
    rows = "".join(f"| `{_name(action)}` | {_cell(action.help or '')} |\n" for action in actions)
    return f"\n| Argument | Meaning |\n|---|---|\n{rows}"


def _name(action: argparse.Action) -> str:
    """`--port PORT`, or `NAME`."""
    option = "/".join(action.option_strings)
    return " ".join(part for part in (option, _value(action)) if part)


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    return str(action.metavar or action.dest.upper())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(reference())
