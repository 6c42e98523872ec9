"""The table of docs/compatibility.md."""

import re
import sys

from bulliond import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
MARK = "<!-- table -->\n"
HEAD = "| client | version | from | works |\n|---|---|---|---|\n"
COMMAND = ".ci/compat --update"


def hold(rows, update, whole):
    """Compares the table with what the run says, or writes it; of the rows of clients that did not run, if it was not of the whole, nothing is said. A
    client that has another version than in the table may have learnt something, and must have forgotten nothing; a version alone is no reason to fail."""
    page, _, old = PAGE.read_text().partition(MARK)
    said = parse(old)
    ran = {(r["client"], r["origin"]): (r["version"], r["works"]) for r in rows}
    if update:
        PAGE.write_text(page + MARK + text(ran if whole else said | ran))
        print(f"Wrote the table of {PAGE.relative_to(ROOT)}.")
        return
    wrong = []
    for key, (version, works) in ran.items():
        name = f"{key[0]} of {key[1]}"
        before, had = said.get(key, (None, []))
        missing, more = [w for w in had if w not in works], [w for w in works if w not in had]
        if before is None:
            wrong.append(f"{name} is not in it")
        elif missing:
            wrong.append(f"{name} did not do {', '.join(missing)}")
        elif more and before == version:
            wrong.append(f"{name} also does {', '.join(more)}")
        elif before != version:
            print(f"The table has {name} {before}; this was {version}.")
    if whole:
        wrong += [f"{client} of {origin} was not run" for client, origin in said.keys() - ran.keys()]
    if wrong:
        sys.exit(f"The table of {PAGE.relative_to(ROOT)} is not what this run says: {'; '.join(wrong)}. Write it with: {COMMAND}")


def text(rows):
    return HEAD + "".join(f"| {client} | {version} | {origin} | {', '.join(f'`{w}`' for w in works)} |\n" for (client, origin), (version, works) in rows.items())


def parse(lines):
    rows = {}
    for line in lines.splitlines()[2:]:
        client, version, origin, works = (cell.strip() for cell in line.strip("|").split("|"))
        rows[client, origin] = version, re.findall(r"`([^`]+)`", works)
    return rows
