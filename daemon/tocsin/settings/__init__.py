"""The configuration: YAML files in, typed Settings out, every mistake at once with file, line and column."""

from tocsin.settings.last_good import LastGood
from tocsin.settings.loading import Loaded, load
from tocsin.settings.overlay import load_alone, load_over
from tocsin.settings.paths import find, state_directory
from tocsin.settings.reload_diff import ReloadDifference, difference, emptied
from tocsin.settings.schema import json_schema

__all__ = [
    "ReloadDifference",
    "LastGood",
    "Loaded",
    "difference",
    "emptied",
    "find",
    "json_schema",
    "load",
    "load_alone",
    "load_over",
    "state_directory",
]
