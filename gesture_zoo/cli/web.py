"""gesture-zoo web: an exported model in the browser."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from .. import packaged
from ..live.opencv import has_display
from ..web import serve, write_site
from ..web.server import is_loopback


def web_command(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C, or write it to a folder."""
    if args.model is None:
        # Exported by whoever packed the weights: to do that here would take packages that only the extra "export" has.
        with packaged.packaged_file(f"{packaged.DEFAULT_MODEL}.onnx") as path:
            show_page(path, args)
    else:
        show_page(args.model, args)


def show_page(model: Path, args: argparse.Namespace) -> None:
    """Serve or write the page with the ONNX file ``model``."""
    if args.out is not None:
        folder = write_site(model, args.out)
        print(f"Written to {folder}: any web server can serve it, for example python -m http.server -d {folder}")
        return

    def ready(url: str) -> None:
        print(f"Serving {model} at {url} (Ctrl-C ends)", flush=True)
        if args.host != "localhost" and not is_loopback(args.host):
            print(
                "Others open it by this machine's address, at the same port; their browsers give a camera to pages of "
                "https alone, which takes a proxy (a video file works as it is)",
                flush=True,
            )
        if not args.no_browser and has_display():  # without one, Python would start a browser in the terminal, if any
            webbrowser.open(url)

    serve(model, host=args.host, port=args.port, ready=ready)
