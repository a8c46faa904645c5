"""Options that were renamed or removed: the old form ends with an error that names the new one."""

from __future__ import annotations

RENAMED_OPTIONS: dict[tuple[str, str], str] = {
    ("retry", "--failed"): "leave the option out: `study retry NAME` retries all failed jobs",
    ("best", "--front"): "use --pareto-front",
    ("backbone", "--colour"): "use --rgb",
}
"""Fix by command and old option."""


def renamed_option_message(command: str | None, option: str) -> str | None:
    """Return the error message of an option that has another form today; None for any other option.

    Args:
        command: name of the command, without those above it.
        option: the option with its dashes.

    Example:
        >>> renamed_option_message("best", "--front")
        'study best: --front no longer exists. Fix: use --pareto-front.'
    """
    fix = RENAMED_OPTIONS.get((command or "", option))
    return f"study {command}: {option} no longer exists. Fix: {fix}." if fix else None
