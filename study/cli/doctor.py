"""`study doctor`: what the health of this machine is, printed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from rich.text import Text

from study.cli.app import Exit, Json, Root, app, out, workspace
from study.word_table import WordTable


@app.command()
def doctor(root: Root = None, as_json: Json = False) -> int:
    """Check versions, GPUs, memory, workspace, Ray and open ports.

    The exit code is 4 when a check finds an error.
    """
    from study.execution.health import examine

    findings = list(examine(workspace(root), dict(os.environ)))
    if as_json:
        out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        colours = {"ok": "green", "warning": "yellow", "error": "bold red"}
        table = WordTable(())
        for finding in findings:
            table.add_row(Text(finding.verdict, colours[finding.verdict]), finding.subject, finding.text)
        out.print(table)
    return Exit.INFRASTRUCTURE if any(finding.verdict == "error" for finding in findings) else Exit.SUCCESS
