"""Write the numbers in the documents from the records.

    make tables                          # or python -m results.tables
    python -m results.tables --check     # only list the documents that disagree

To add a table, write a function that returns it as Markdown, decorate it with `@table("NAME")`, and put
`<!-- table: NAME --><!-- end -->` into a document.
"""

import sys

from results.tables import (  # noqa: F401
    accuracy,
    answers,
    cell,
    comparisons,
    converged,
    convert,
    costs,
    growth,
    long,
    pays,
    population,
    reproduce,
    resnet,
    resolutions,
    robustness,
    searches,
    soft_xor,
    speed,
    summary,
    surfaces,
)
from results.tables.documents import blocks, fill
from results.tables.records import ROOT, TABLES


def documents():
    """Return every document that contains a block."""
    pages = [*ROOT.glob("*.md"), *(p for top in ("docs", "results", "tuning") for p in (ROOT / top).rglob("*.md"))]
    return [page for page in sorted(pages) if blocks(page.read_text())]


def differences():
    """Return one line for each problem: documents that disagree with the records, and missing entries."""
    wrong = [f"{folder}: its arrays have changed since they were analysed" for folder in surfaces.outdated()]
    wrong += growth.outdated()
    wrong += [f"{folder}: it has no command in results/tables/comparisons.py" for folder in comparisons.missing()]
    for page in documents():
        if page.read_text() != fill(page.read_text(), TABLES):
            wrong.append(f"{page.relative_to(ROOT)}: its numbers are not those of the records")
    return wrong


def main():
    """Write the documents, or check them."""
    if "--check" not in sys.argv:
        surfaces.refresh()
        growth.refresh()
        for page in documents():
            text = page.read_text()
            if (filled := fill(text, TABLES)) != text:
                page.write_text(filled)
                print(f"Written: {page.relative_to(ROOT)}")
    if wrong := differences():
        sys.exit("\n".join([*wrong, "Run make tables"]))


if __name__ == "__main__":
    main()
