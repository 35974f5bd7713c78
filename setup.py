"""The build's one own step: onnxruntime-web for the page of ``gesture-zoo web``. All else is in setup.cfg."""

import os
import sys
import warnings

from setuptools import setup
from setuptools.command.build_py import build_py

# A build does not have the folder it builds on its path.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gesture_zoo.errors import GestureZooError
from gesture_zoo.web.vendor import vendor


class BuildWithPage(build_py):
    """build_py, which first puts the page's dependency among the package's files, in editable installs too."""

    def run(self) -> None:
        try:
            vendor()
        except GestureZooError as error:
            # Everything but the page works without it, and the page says what to do.
            warnings.warn(f"gesture-zoo web will not work yet: {error}", stacklevel=1)
        super().run()


setup(cmdclass={"build_py": BuildWithPage})
