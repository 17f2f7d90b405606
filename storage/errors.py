"""Every failure that a user can meet, with its exit code.

ReelseekError                 1
├── MediaError                3
│   ├── MediaNotFound         3   no such file
│   ├── NotAVideo             3   not a media file, or no picture in it
│   └── UnreadableMedia       3   a media file that cannot be decoded
├── SomeVideosFailed          3   the run went on, but not every file was indexed
├── ArchiveError              4
│   ├── ArchiveNotFound       4   no archive at that place
│   ├── ArchiveDamaged        4   a record or file of the archive fails its checksum
│   ├── ArchiveReadOnly       4   the archive cannot be written
│   ├── ArchiveFull           4   the disk under the archive is full
│   └── ArchiveBusy           4   another process kept the archive for too long
├── EncoderMismatch           5   the archive was made with another encoder
├── NewerFormat               6   made by a newer reelseek
├── BundleError               7   model files missing, damaged or unfit
│   ├── WeightsRefused        7   a weights file that would do more than hand over numbers
│   └── WeightsUnreadable     7   a weights file that is damaged, or of a kind we cannot read
├── VideoNotFound             8   the archive holds no such video
├── EvaluationError           9   predictions or annotations that cannot be scored
└── QueryError                2   a query that cannot be searched for

Exit code 2 is also what click uses for a wrong option, and 130 stands for Ctrl-C.
Each message is one sentence (or two) that says what happened, to which file, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class ReelseekError(Exception):
    """Base of every error that is the user's to solve; ``str(error)`` is shown as it is."""

    exit_code: ClassVar[int] = 1


class MediaError(ReelseekError):
    """A file given to `index add` that cannot be indexed."""

    exit_code = 3


class MediaNotFound(MediaError):
    """The path does not exist, or is not of the kind that was asked for."""


class NotAVideo(MediaError):
    """The file is not a media file, or holds no moving picture."""


class UnreadableMedia(MediaError):
    """The file looks like a video, but no frame of it can be decoded."""


class SomeVideosFailed(MediaError):
    """A run over several files ended with some of them not indexed."""


class ArchiveError(ReelseekError):
    """The archive cannot be used as asked."""

    exit_code = 4


class ArchiveNotFound(ArchiveError):
    """There is no archive at the given place."""


class ArchiveDamaged(ArchiveError):
    """A record or a file of the archive is not what was written."""


class ArchiveReadOnly(ArchiveError):
    """The archive lies on a medium, or under permissions, that forbid writing."""


class ArchiveFull(ArchiveError):
    """The disk under the archive has no room for what was to be written."""


class ArchiveBusy(ArchiveError):
    """Another process held the archive longer than we were willing to wait."""


class EncoderMismatch(ReelseekError):
    """The vectors of the archive come from another encoder than the one in use."""

    exit_code = 5


class NewerFormat(ReelseekError):
    """The archive or bundle was written in a format newer than this program knows."""

    exit_code = 6


class BundleError(ReelseekError):
    """A model bundle is missing, damaged, or not fit for what was asked."""

    exit_code = 7


def not_installed(to_do: str, packages: str, extra: str) -> BundleError:
    """The error for what takes packages of an extra (setup.cfg) that are not installed.

    Arguments:
        to_do: completes "To …", e.g. "import CLIP".
    """
    return BundleError(
        f"To {to_do}, reelseek needs {packages}: install it again with that extra, `pip install "
        f"'.[{extra}]'` in its source folder (for a machine without a GPU, first torch for the "
        "CPU, as pytorch.org says)."
    )


class WeightsRefused(BundleError):
    """The file would do more than hand over numbers: the message names what it asks for."""


class WeightsUnreadable(BundleError):
    """The file is damaged, cut short, or of a kind that holds no weights we can read."""


class VideoNotFound(ReelseekError):
    """The archive holds no video of that name or id."""

    exit_code = 8


class EvaluationError(ReelseekError, ValueError):
    """Predictions or annotations cannot be scored: which file, line and query, and why."""

    exit_code = 9


class QueryError(ReelseekError):
    """The query has no word, is longer than the encoder reads, or in a script that it does not."""

    exit_code = 2
