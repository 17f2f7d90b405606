"""`reelseek completion`"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
    Examples:
      reelseek completion bash >> ~/.bashrc
      reelseek completion zsh >> ~/.zshrc
      reelseek completion fish > ~/.config/fish/completions/reelseek.fish
    """
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the lines that make a shell complete reelseek's verbs and options."""
    from cli import index, reelseek
    from commands.search import search

    kind = get_completion_class(shell)
    assert kind is not None, f"click completes for {shell}"
    for name, command in (("reelseek", reelseek), ("index", index), ("search", search)):
        click.echo(kind(command, {}, name, f"_{name.upper()}_COMPLETE").source())
