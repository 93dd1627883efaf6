"""The page about the command line has every command with its options, and no others."""

import re
from pathlib import Path

import pytest
import typer

from hierlogit.cli.app import app

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command_line.md"
COMMANDS = typer.main.get_group(app).commands


def sections() -> dict[str, str]:
    """Text by command."""
    parts = re.split(r"^## hierlogit (\w+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_has_the_commands() -> None:
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_tables_have_the_options(name: str) -> None:
    cells = " ".join(re.findall(r"^\|([^|]*)\|", sections()[name], flags=re.MULTILINE))
    options = {flag for option in COMMANDS[name].params for flag in option.opts if flag.startswith("-")}
    assert set(re.findall(r"`(--?[\w-]+)`", cells)) == options
