"""The public names, those of ``gesture_zoo.export.__all__``."""

# ruff: noqa: F401

from .check import Compared
from .formats import FORMATS
from .int8 import Int8Report, quantize_model
from .model import ExportError, ExportReport, export_model
