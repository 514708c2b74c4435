#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""manual_text.py PAGE HEADER: the sections of a manual page (scdoc) as plain text, in a C header.

Knows as much of scdoc(5) as docs/uds-echo.1.scd needs, and fails on what it does not know, so that nothing is
shown to users as it should not be.
"""

import re
import sys
import textwrap

WIDTH = 78
INDENT = 4
COMMON = ("OPTIONS OF EVERY COMMAND", "SOCKETS")


def without_markup(text):
    """*bold* and _underlined_ without the marks; an underscore within a word is none (scdoc(5))."""
    text = re.sub(r"(?<!\\)\*", "", text)
    text = re.sub(r"(?<![\\\w])_|(?<!\\)_(?!\w)", "", text)
    return re.sub(r"\\(.)", r"\1", text)


def paragraph(lines, depth, first=""):
    """LINES filled, indented by DEPTH steps, with FIRST (a bullet) before the first line."""
    indent = " " * (INDENT * depth)
    result = []
    for piece in " ".join(line.strip() for line in lines).split("++ "):
        result += textwrap.wrap(without_markup(piece), WIDTH, initial_indent=indent + first,
                                subsequent_indent=indent + " " * len(first),
                                break_long_words=False, break_on_hyphens=False)
    return result


def blocks(lines):
    """(kind, lines): paragraphs at a depth of tabs, list items, and literal blocks."""
    block, literal = [], False

    def depth(line):
        return len(line) - len(line.lstrip("\t"))

    for line in lines:
        if line.strip() == "```":
            if block:
                yield ("literal" if literal else "text"), block
            block, literal = [], not literal
        elif literal:
            block.append(line)
        elif not line.strip():
            if block:
                yield "text", block
            yield "space", []
            block = []
        else:
            if block and (depth(line) != depth(block[0]) or line.lstrip("\t").startswith("- ")):
                yield "text", block
                block = []
            block.append(line)
    if literal:
        raise ValueError("a literal block does not end")
    if block:
        yield "text", block


def render(lines):
    result = []
    for kind, block in blocks(lines):
        if kind == "space":
            result += [""] if result and result[-1] else []
        elif kind == "literal":
            result += [" " * (INDENT + 2) + line.replace("\\\\", "\\") for line in block]
        elif re.match(r"\t*(\[|\||\]|\. |:)", block[0]):
            raise ValueError(f"not known: {block[0]}")
        else:
            depth = len(block[0]) - len(block[0].lstrip("\t"))
            item = block[0].lstrip("\t").startswith("- ")
            if item:
                block = [block[0].lstrip("\t")[2:], *block[1:]]
            result += paragraph(block, depth + 1, "- " if item else "")
    while result and not result[-1]:
        result.pop()
    return result


def sections(page):
    """(title, lines) of each; the preamble and comments are left out."""
    title, lines, literal = None, [], False
    for line in page.splitlines():
        literal ^= line.strip() == "```"
        if line.startswith("# ") and not literal:
            if title:
                yield title, lines
            title, lines = line[2:], []
        elif literal or not line.startswith("; "):
            lines.append(line)
    yield title, lines


def quoted(line):
    if not line.isascii() or len(line) > 80:
        raise ValueError(f"not ASCII, or longer than 80 columns: {line}")
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(source, target):
    with open(source, encoding="utf-8") as file:
        page = list(sections(file.read()))
    # A command is what the synopsis has and a section is about.
    commands = re.findall(r"^\*uds-echo\* \*(\w+)\*", "\n".join(dict(page)["SYNOPSIS"]), re.M)
    arrays, parts = [], []
    for number, (title, lines) in enumerate(page):
        text = [title, *render(lines)]
        arrays.append(f"static const char *const part_{number}[] = {{\n"
                      + "".join(f"    {quoted(line)},\n" for line in text) + "    NULL,\n};\n")
        command = f'"{title.lower()}"' if title.lower() in commands else "NULL"
        parts.append(f"    {{{command}, {str(title in COMMON).lower()}, part_{number}}},\n")
    with open(target, "w", encoding="ascii") as file:
        file.write("/* SPDX-License-Identifier: MIT */\n/* Made by manual_text.py; see manual.c. */\n\n")
        file.write("\n".join(arrays))
        file.write("\nstatic const struct part parts[] = {\n" + "".join(parts) + "};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
