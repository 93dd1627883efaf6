"""Write the tables of docs/findings.md from the registry of findings.

`python tools/findings.py` rewrites the part of the page between its two markers; a test compares it with what `page`
returns.
"""

from __future__ import annotations

import re
from pathlib import Path

from hierlogit.fits.findings import FINDING_KINDS, FindingKind

PAGE = Path(__file__).resolve().parents[1] / "docs" / "findings.md"
BEGIN, END = "<!-- findings: made by tools/findings.py -->\n", "<!-- end of findings -->\n"
HEADINGS = {
    "sampling": "Sampling: `hl.NUTS()`",
    "maximum": "Maximum likelihood and MAP: `hl.Laplace()`, `hl.AGQ()`, `hl.MAP()`",
    "model": "The fitted model: `hl.check(fit)`",
    "data": "The data before a fit: `hl.check_data(model)`",
}


def tables() -> str:
    """A heading and a table for each topic."""
    return "\n".join(
        f"## {heading}\n\n| code | severity | what it means | where to look |\n| --- | --- | --- | --- |\n"
        + "".join(_row(code, kind) for code, kind in FINDING_KINDS.items() if kind.topic == topic)
        for topic, heading in HEADINGS.items()
    )


def _row(code: str, kind: FindingKind) -> str:
    look = re.sub(r"^\S+\(.*?\)(\.\w+)?(?= )|^\S+", lambda call: f"`{call[0]}`", kind.look)
    return f"| `{code}` | {' or '.join(kind.severities)} | {kind.meaning} | {look} |\n"


def page(text: str) -> str:
    """The page with its tables as the registry has them now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
