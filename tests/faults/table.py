# SPDX-License-Identifier: MIT
"""What the laboratory has tried and what it cost, as text and as Markdown."""

import dataclasses


@dataclasses.dataclass
class Row:
    """One trial. Lost and wrong is only what honest clients miss; memory is that of the daemon, in KiB."""

    what: str
    times: str = ""
    lost_connections: int = 0
    lost_bytes: int = 0
    wrong_bytes: int = 0
    crashes: int = 0
    leaked_descriptors: int = 0
    memory_start: int = 0
    memory_end: int = 0
    note: str = ""

    def cells(self):
        return [self.what, self.times, f"{self.lost_connections:,}", f"{self.lost_bytes:,}", f"{self.wrong_bytes:,}",
                f"{self.crashes}", f"{self.leaked_descriptors}", mebibytes(self.memory_start),
                mebibytes(self.memory_end), self.note]


HEADS = ["what was tried", "how often", "lost connections", "lost bytes", "wrong bytes", "crashes",
         "leaked descriptors", "MiB at start", "MiB at end", ""]


def mebibytes(kib):
    return f"{kib / 1024:.1f}" if kib else ""


def is_number(cell):
    return cell.replace(",", "").replace(".", "").isdigit()


def text(rows):
    """For a terminal: heads in two lines."""
    heads = [head.split(" ", 1) if index > 1 else ["", head] for index, head in enumerate(HEADS)]
    lines = [[head[0] for head in heads], [head[1] if len(head) > 1 else "" for head in heads]]
    lines += [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join("  ".join(cell.rjust(width) if column > 1 and column < len(HEADS) - 1 else cell.ljust(width)
                               for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def markdown(rows):
    lines = [HEADS, ["---"] * 2 + ["---:"] * (len(HEADS) - 3) + ["---"]] + [row.cells() for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
