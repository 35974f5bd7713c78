"""Video files and network streams, read by PyAV one frame after another; without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import DataError
from ..shown import as_shown, times_are_guessed, video_stream
from .source import Frame, LiveSource, Reader, Source

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "srt", "tcp", "udp")
_GUESSED_RATE = 30.0  # of a video that has neither times nor a rate
# FFmpeg's errors are OSErrors only where they are the system's.
_ERRORS = (av.error.FFmpegError, OSError)


class VideoSource(Source):
    """A video file, or a file behind a URL, frame after frame with its time from the first one."""

    def __init__(self, name: str, *, container: av.container.InputContainer | None = None) -> None:
        self.container = open_container(name) if container is None else container
        self.stream = video_stream(self.container, name)
        self.stream.thread_type = "AUTO"
        self.is_file = container is None
        duration = self.container.duration
        length = duration / av.time_base if duration and duration > 0 else None
        super().__init__(name, frame_rate=rate_of(self.stream), length=length)

    def frames(self) -> Iterator[Frame]:
        decoder = Decoder(self.container, self.stream)
        convert, clock = VideoReformatter(), Clock(self.container, self.stream)
        try:
            for frame in decoder:
                yield clock.time(frame), as_shown(frame, convert)
        except _ERRORS as error:
            if self.is_file:
                raise DataError(f"cannot read on in video {self.name}: {reason(error)}") from error
            self.note = reason(error)
        finally:
            self.container.close()
        self.note = "; ".join(part for part in (self.note, decoder.note) if part)

    def close(self) -> None:
        super().close()
        self.container.close()


def open_url(url: str, *, timeout: float) -> Source:
    """A stream as a LiveSource, or what has a length and can be had at any speed, a file, as a VideoSource."""
    # Over TCP, because a lost UDP packet damages pictures until the next key frame.
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    container = open_container(url, timeout=timeout, options=options)
    if url.lower().startswith("http") and container.duration is not None:
        return VideoSource(without_password(url), container=container)
    return LiveSource(without_password(url), UrlReader(container, video_stream(container, without_password(url))))


def without_password(url: str) -> str:
    """A URL as it may be shown.

    >>> without_password("rtsp://me:secret@camera/1"), without_password("rtsp://me:se/cret@camera:554/1@2")
    ('rtsp://camera/1', 'rtsp://camera:554/1@2')
    """
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    _, colon, port = host.rpartition(":")
    if colon and "@" not in host and "@" in path and not port.isdecimal() and not host.endswith("]"):
        return f"{scheme}://{path.partition('@')[2]}"  # a slash in the password
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


class UrlReader(Reader):
    """The frames of a stream that has no end."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self.decoder = Decoder(container, stream)
        self.reformatter = VideoReformatter()

    def __iter__(self) -> Iterator[av.VideoFrame]:
        try:
            yield from self.decoder
        except av.error.FFmpegError as error:  # not all of them are OSErrors
            raise OSError(reason(error)) from error

    def convert(self, raw: av.VideoFrame) -> np.ndarray:
        return as_shown(raw, self.reformatter)

    def close(self) -> None:
        self.decoder.container.close()

    @property
    def note(self) -> str:  # type: ignore[override]
        return self.decoder.note


class Decoder:
    """The frames of a video stream, without those that are damaged; ``note`` says how many were."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self.container, self.stream = container, stream
        self.damaged = 0

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for packet in self.container.demux(self.stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self.damaged += 1
                continue
            for frame in frames:
                # FFmpeg patches what it cannot decode; the patch shows until the next key frame.
                if frame.is_corrupt:
                    self.damaged += 1
                else:
                    yield frame

    @property
    def note(self) -> str:
        return f"{self.damaged} damaged frames were left out" if self.damaged else ""


class Clock:
    """The times of a video's frames in seconds from its first, never going back."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self.trusted = not times_are_guessed(container)
        self.rate = rate_of(stream) or _GUESSED_RATE
        self.count = 0
        self.first: float | None = None
        self.last = 0.0

    def time(self, frame: av.VideoFrame) -> float:
        """The time of the next frame."""
        number, self.count = self.count, self.count + 1
        if not self.trusted or frame.time is None:
            return max(self.last, number / self.rate)
        self.first = frame.time if self.first is None else self.first
        self.last = max(self.last, frame.time - self.first)
        return self.last


def open_container(name: str, *, timeout: float | None = None, options: dict[str, str] | None = None) -> Any:
    """PyAV's container of a file or, with a ``timeout``, of a URL; one that cannot be opened is a DataError."""
    started = time.monotonic()
    try:
        # A path from the root, because FFmpeg takes what comes before a colon for a protocol.
        return av.open(os.path.abspath(name) if timeout is None else name, options=options or {}, timeout=timeout)
    except (*_ERRORS, ValueError) as error:
        # After that time FFmpeg gives up, and some of its readers then blame the data.
        if timeout is not None and (isinstance(error, av.error.ExitError) or time.monotonic() - started > timeout):
            raise DataError(f"cannot open {without_password(name)}: no answer for {timeout:g} s") from error
        if timeout is None and not Path(name).exists():
            raise DataError(f"there is no file {name}") from error
        what = f"cannot read video {name}" if timeout is None else f"cannot open {without_password(name)}"
        raise DataError(f"{what}: {reason(error)}") from error


def rate_of(stream: av.VideoStream) -> float | None:
    """Frames a second, where the video says it."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def reason(error: Exception) -> str:
    """What went wrong, in FFmpeg's or the system's words."""
    if isinstance(error, av.error.ExitError):
        return "no data any more"  # what a timeout comes as
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
