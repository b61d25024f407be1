"""`tocsin schema`: the configuration's JSON Schema."""

from __future__ import annotations

import json

from tocsin.settings import json_schema


def schema() -> None:
    """Print the configuration's JSON Schema, for editors that speak yaml-language-server."""
    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
