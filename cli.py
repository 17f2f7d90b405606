"""The front door: the root command, and errors turned into one sentence and an exit code.

A verb's module is loaded only when it is called, so that `--help` and shell completion answer
at once.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from commands.terminal import say
from commands.text import printable
from storage.errors import ReelseekError

EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Of standard output on a full disk; the archive has errors of its own for that."""


class LazyGroup(click.Group):
    """A group whose commands are named by "module:attribute" and imported when needed."""

    def __init__(self, *args: Any, verbs: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        module, attribute = self._verbs[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

index = LazyGroup(
    "index",
    verbs={
        "add": "commands.index_add:add",
        "list": "commands.index_list:list_videos",
        "info": "commands.index_info:info",
        "remove": "commands.index_remove:remove",
        "verify": "commands.index_verify:verify",
    },
    context_settings=_CONTEXT,
    help="Add films to an archive, and look after them.",
    epilog="""\b
    Examples:
      reelseek index add tape.mp4
      reelseek index list
    """,
)

models = LazyGroup(
    "models",
    verbs={
        "list": "commands.models_list:list_models",
        "info": "commands.models_info:info",
        "import": "commands.models_import:import_model",
        "get": "commands.models_get:get",
        "verify": "commands.models_verify:verify",
        "remove": "commands.models_remove:remove",
    },
    context_settings=_CONTEXT,
    help="Bring official weights (CLIP, PANNs Cnn14, QD-DETR), and look after them.",
    epilog="""\b
    Examples:
      reelseek models list
      reelseek models import ViT-B-32.pt --as clip
    """,
)

reelseek = LazyGroup(
    "reelseek",
    verbs={
        "index": "cli:index",
        "search": "commands.search:search",
        "models": "cli:models",
        "evaluate": "commands.evaluate:evaluate",
        "completion": "commands.completion:completion",
    },
    context_settings=_CONTEXT,
    help="""Find moments in films by what is seen and heard in them, offline.

    \b
    Examples:
      reelseek index add tape.mp4
      reelseek index add /mnt/films --recursive
      reelseek search "a dog in snow"

    Exit codes: 0 done, 1 unexpected error, 2 wrong use, 3 a file could not be indexed, 4 archive
    missing or unusable, 5 another encoder's archive, or models that do not fit together, 6 made by
    a newer version, 7 model files missing, damaged or refused, 8 no such video, 9 predictions that
    cannot be scored, 130 interrupted. With REELSEEK_DEBUG=1 errors show where they arose.
    """,
)

for _command in (reelseek, index, models):
    click.version_option(package_name="reelseek", prog_name="reelseek")(_command)


def main() -> NoReturn:
    """`reelseek …`"""
    _run(reelseek, "reelseek")


def index_main() -> NoReturn:
    """`index …`, short for `reelseek index …`."""
    _run(index, "index")


def search_main() -> NoReturn:
    """`search …`, short for `reelseek search …`."""
    from commands.search import search

    _run(click.version_option(package_name="reelseek", prog_name="reelseek")(search), "search")


def _run(command: click.Command, name: str) -> NoReturn:
    """Run a command to its exit: the only place where errors become text."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("reelseek").setLevel(logging.INFO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        result = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except ReelseekError as error:
        _explain(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _explain("Interrupted; what was finished is kept.")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, had enough
        _drop_output()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            _explain(f"The output could not be written: {error.strerror}.")
            _drop_output()
            sys.exit(EXIT_UNEXPECTED)
        _explain(
            f"Unexpected error ({type(error).__name__}: {error}). Nothing in the archive was "
            "lost; run it again with REELSEEK_DEBUG=1 and report what it prints."
        )
        sys.exit(EXIT_UNEXPECTED)
    sys.exit(result if isinstance(result, int) else 0)


def _drop_output() -> None:
    """What is left in the buffer goes nowhere: writing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """End by the first signal, cleanly; further ones would only disturb that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _explain(sentence: str) -> None:
    if os.environ.get("REELSEEK_DEBUG"):
        traceback.print_exc()
    say(f"Error: {printable(sentence)}", err=True)


if __name__ == "__main__":
    main()
