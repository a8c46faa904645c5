from dataclasses import replace

import pandas as pd

from analysis.tables.table import Entry, Table

TABLE = Table("Dice & more", ("row", "5%"), ((Entry("a_b"), Entry("0.9", strong=True)),), ("p < 0.05",), pd.DataFrame())


def test_latex_has_booktabs_rules_bold_and_no_bare_specials():
    assert TABLE.to_latex() == "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\caption{Dice \& more}",
            r"\begin{tabular}{lr}",
            r"\toprule",
            r"row & 5\% \\",
            r"\midrule",
            r"a\_b & \textbf{0.9} \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\footnotesize p $<$ 0.05",
            r"\end{table}",
            "",
        ]
    )


def test_html_is_a_table_of_one_row():
    found = TABLE.to_html()
    assert "<caption>Dice &amp; more</caption>" in found
    assert '<tr><th scope="row">a_b</th><td><strong>0.9</strong></td></tr>' in found


def test_sentences_are_aligned_left_and_wrapped():
    prose = replace(TABLE, prose=True)
    assert "| :-- | :-- |" in prose.to_markdown()
    assert r"\begin{tabular}{l*{1}{p{0.90\textwidth}}}" in prose.to_latex()
    assert '<table class="prose">' in prose.to_html()
