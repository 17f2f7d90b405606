"""`reelseek models remove`"""

from __future__ import annotations

import click

from commands.models_text import file_size
from weights.models_folder import remove_bundle


@click.command(
    epilog="""\b
    Example:
      reelseek models remove clip-vit-l-14
    """
)
@click.argument("name")
def remove(name: str) -> None:
    """Delete a model that was brought.

    Archives that were made with it stay, but cannot be searched or added to until it is brought
    again, from the same file and under the same name.
    """
    freed = remove_bundle(name)
    click.echo(f"Removed {name} ({file_size(freed)})")
