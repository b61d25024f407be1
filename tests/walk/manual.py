"""The examples of the manual, to be lived through."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, section: str) -> str:
    """The YAML block of a page that begins with this section."""
    found = re.findall(rf"^```yaml\n({section}:.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/{page} has {len(found)} examples of {section}"
    return str(found[0])
