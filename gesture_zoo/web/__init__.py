"""A page on this machine that recognises gestures in the browser: from the camera or a video, without a network."""

from .server import WebServer, serve
from .site import write_site

__all__ = ["WebServer", "serve", "write_site"]
