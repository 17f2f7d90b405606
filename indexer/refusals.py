"""Why a file is refused: one sentence each, with what to do about it. Knows nothing of libav."""

from __future__ import annotations

import stat
from pathlib import Path

from storage.errors import MediaError, MediaNotFound, NotAVideo, UnreadableMedia

_HEAD_BYTES = 4096
_TEXT_BEFORE_PICTURES = b"YUV4MPEG2 "


def check_file(path: Path) -> None:
    """Refuse what can be refused before anything is parsed.

    Raises:
        MediaNotFound: no such file, or a folder.
        NotAVideo: not a regular file, an empty one, or text. (libav would follow a playlist or
            session description, and wait for what it names.)
        UnreadableMedia: no permission, or the disk fails.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaNotFound(
                f"{path} is a folder: name a file, or add --recursive to index what is in it."
            )
        if not stat.S_ISREG(status.st_mode):
            raise NotAVideo(f"{path} is not a regular file: copy the film to a file first.")
        if status.st_size == 0:
            raise NotAVideo(f"{path} is empty (0 bytes): copy it again from its source.")
        head = head_of(path)
    except FileNotFoundError:
        raise MediaNotFound(f"{path} does not exist: check the spelling.") from None
    except PermissionError:
        raise UnreadableMedia(
            f"{path} may not be read by this user: change its permissions or run as its owner."
        ) from None
    except OSError as error:
        raise UnreadableMedia(
            f"{path} cannot be read ({error.strerror}): check the disk or the connection to it."
        ) from error
    if not head.startswith(_TEXT_BEFORE_PICTURES) and _reads_as_text(head):
        raise NotAVideo(
            f"{path} is a text file, not a video: check what was renamed to it, or name the files "
            "that a playlist lists."
        )


def head_of(path: Path) -> bytes:
    """The first bytes of the file."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def not_opened(path: Path, why: str) -> MediaError:
    """The file was there, but no container format could be read from it."""
    head = head_of(path)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
        return UnreadableMedia(
            f"{path} is an MP4 or MOV file without a usable index (moov): the recording or copy "
            "was cut off, so copy it again or repair it with a tool such as untrunc."
        )
    return NotAVideo(
        f"{path} is not in any media format known here ({why}): check that it plays, or convert "
        "it to MP4 or Matroska."
    )


def _reads_as_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character that our cut split
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\r\n\t\f" for char in text)


def still_picture(path: Path) -> NotAVideo:
    """The file is one image."""
    return NotAVideo(f"{path} is a still picture, not a video: reelseek indexes moving pictures.")


def sound_only(path: Path, with_cover: bool) -> NotAVideo:
    """The file has sound and no moving picture, perhaps a cover image."""
    what = "sound and a cover picture" if with_cover else "sound only"
    return NotAVideo(f"{path} holds {what}: it has no moving picture to index.")


def no_picture(path: Path) -> NotAVideo:
    """The file is a media file with neither picture nor sound, such as subtitles."""
    return NotAVideo(
        f"{path} holds no moving picture (only data such as subtitles): nothing to index."
    )


def no_decoder(path: Path) -> UnreadableMedia:
    """There is a picture track in a format that FFmpeg cannot decode."""
    return UnreadableMedia(
        f"{path} has pictures in a format that FFmpeg has no decoder for: convert it to H.264 or "
        "FFV1 with the program that it came from."
    )


def no_frame(path: Path, why: str) -> UnreadableMedia:
    """There is a picture track, but not one frame came out of it."""
    return UnreadableMedia(
        f"{path} has a picture track, but no frame of it can be decoded ({why}): check whether it "
        "plays, or copy it again from its source."
    )
