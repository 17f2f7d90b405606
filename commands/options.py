"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_DB = Path("dbs")

db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, readable=False),
    envvar="REELSEEK_DB",
    default=DEFAULT_DB,
    show_default=True,
    show_envvar=True,
    help="Folder of the archive.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
