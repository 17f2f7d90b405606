"""Writes docs/reference/cli.md from the commands' own help: python -m docs.cli_reference"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cli import reelseek

PAGE = Path(__file__).parent / "reference" / "cli.md"
WIDTH = 96


def page() -> str:
    """The whole page, Markdown."""
    parts = [
        "# The command line",
        "Made from `--help` by `python -m docs.cli_reference`. `index …` and `search …` are short "
        "for\n`reelseek index …` and `reelseek search …`.",
    ]
    for context in _commands(
        click.Context(reelseek, info_name="reelseek", **reelseek.context_settings)
    ):
        parts += [f"## {context.command_path}", f"```text\n{_help(context)}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _commands(
                click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
            )


def _help(context: click.Context) -> str:
    context.terminal_width = WIDTH
    return context.command.get_help(context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
