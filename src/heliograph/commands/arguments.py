"""How commands and their arguments are declared, and what a text on the command line may be."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from heliograph.setting_kinds import Kind, Unfit, duration
from heliograph.settings import Schedule, Settings

Run: TypeAlias = Callable[[argparse.Namespace, Settings], int]
"""What a command does; its exit status."""
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

MAX_NAME = 255


def add_group(commands: Commands, name: str, text: str) -> Commands:
    """A word that other commands stand below: `keys` of `keys create`."""
    group = commands.add_parser(name, help=text, description=_sentence(text), allow_abbrev=False)
    return group.add_subparsers(title="commands", required=True, metavar="COMMAND")


def add_command(commands: Commands, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    """A command with the options that every command takes."""
    # An abbreviation that scripts got used to would break with the next option.
    parser = commands.add_parser(name, help=text, description=_sentence(text), allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.set_defaults(run=run)
    return parser


def add_organization(parser: argparse.ArgumentParser) -> None:
    """`--organization`, which may be left out where there is only one."""
    parser.add_argument("--organization", metavar="NAME", help="name or id; not needed when there is only one")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, for machines."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def a_name(text: str) -> str:
    """A name for a person to read: 1 to 255 printable characters, not only spaces."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_NAME:
        raise argparse.ArgumentTypeError(f"a name has 1 to {MAX_NAME} printable characters")
    return text


def schedule_value(name: str) -> Callable[[str], int]:
    """Reads what the setting `schedule.<name>` takes: a duration as microseconds, or a count."""
    return _value_of(Schedule.settings()[name].kind)


def a_duration(at_most: int) -> Callable[[str], int]:
    """Reads a duration as the settings write them, from 0 to `at_most` microseconds."""
    return _value_of(duration(at_most=at_most))


def _value_of(kind: Kind[int]) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            return int(kind.read(text))
        except Unfit:
            raise argparse.ArgumentTypeError(f"got {kind.got(text)}, wanted {kind.wanted}") from None

    return read


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
