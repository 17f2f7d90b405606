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
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that make a shell complete reelseek's verbs and options."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes for {shell}"
    root = ctx.find_root().command
    for name in ("reelseek", "index", "search"):
        click.echo(kind(root, {}, name, f"_{name.upper()}_COMPLETE").source())
