"""Tables, numbers and the document in LaTeX: well formed, and no box too wide, in one column and in two."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.errors import UserError
from fasa.reporting import NO_TEX, latex, numbers, paper, render_paper
from fasa.reporting.cells import measure_table
from fasa.reporting.escapes import escape
from fasa.reporting.kept import render_tables
from fasa.reporting.layout import lay_out

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results/reference"
BASE = {("ldam", 0): 0.420, ("ldam", 1): 0.421, ("ldam", 2): 0.419}
FASA = {("ldam_fasa", 0): 0.437, ("ldam_fasa", 1): 0.439, ("ldam_fasa", 2): 0.438}
# A single column as wide as a page, and two of CVPR's width: what is too wide for its place is told by TeX.
PAGES = {"one": f"textwidth={latex.PAGE}pt", "two": f"twocolumn,textwidth={latex.PAGE}pt,columnsep=22pt"}


def printed(study):
    return lay_out(measure_table(study, study.tables["cifar_lt"]))


def overfull(folder, body, columns):
    """What TeX says of ``body`` that is too wide or too high, in a document of one column or two."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not on the PATH")
    document = [r"\documentclass{article}", r"\usepackage{booktabs,siunitx}"]
    document += [rf"\usepackage[{PAGES[columns]},textheight=641pt]{{geometry}}", r"\extrafloats{200}"]
    (folder / "document.tex").write_text("\n".join([*document, r"\begin{document}", body, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    return re.findall(r"Overfull \\hbox.*|Float too large.*", done.stdout)


def test_latex_escapes_text_and_keeps_options_apart():
    assert escape(r"50% & a_b #1 $x {y} ~ ^ \n") == (
        r"50\% \& a\_b \#1 \$x \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )
    assert escape("fasa train --seed 0") == "fasa train -{}-seed 0"
    assert escape("a — −1 ± τ ≤ Δ") == r"a --- $-$1 $\pm$ $\tau$ $\le$ $\Delta$"
    assert escape("[x]") == "{[}x{]}"
    assert escape("Müller 漢 ①") == "Müller ? 1"


def test_the_tabulars_stand_alone_and_the_floats_show_them(fake_study):
    table = printed(fake_study(BASE | FASA))
    tabulars, floats = latex.render_tabulars(table), latex.render_floats(table)
    order = [r"\toprule", r"\midrule", "LDAM + FASA", r"\midrule", "Controls", r"LDAM + $\tau$", r"\bottomrule"]
    position = 0
    for part in order:
        position = tabulars.index(part, position) + 1
    assert "caption" not in tabulars and "{table" not in tabulars
    order = [r"\begin{table", r"\caption{", r"\label{tab:cifar_lt}", r"\input{\fasatables cifar_lt.tabular}", " seeds"]
    position = 0
    for part in [*order, r"\end{table"]:
        position = floats.index(part, position) + 1
    for text in (tabulars, floats):
        code = re.sub(r"^%.*", "", text, flags=re.MULTILINE)
        assert code.count("{") == code.count("}") and code.count(r"\begin") == code.count(r"\end")
        assert "makebox" not in text


def test_a_caption_says_where_the_paper_prints_it_and_not_its_own_number_twice(fake_study, invented):
    told = latex.render_floats(printed(fake_study(BASE)))
    assert r"\caption{Long-tailed classification (Table 7 of Zang et al., 2021). Top-1" in told
    table = invented.table(published_as="Table 12 (supplement, Table 5)")
    told = latex.render_floats(printed(fake_study(BASE, table=table)))
    assert "(Table 12, supplement, Table 5 of Zang et al., 2021)." in told
    table = invented.table(published_as="not in the paper")
    assert "classification (not in the paper). Top-1" in latex.render_floats(printed(fake_study(BASE, table=table)))


def test_figures_stand_in_columns_of_siunitx_and_what_is_none_over_them(fake_study):
    text = latex.render_tabulars(printed(fake_study(BASE | FASA)))
    assert "S[table-format=2.2,retain-explicit-plus,detect-weight,mode=text]@{}l" in text
    assert r"42.00 & \,$\pm$ 0.10" in text
    assert r"+1.80 & \,{[}+1.55, +2.05{]}" in text
    assert r"\multicolumn{2}{c}{---\textsuperscript{a}}" in text


@pytest.mark.parametrize("columns", PAGES)
@pytest.mark.parametrize(
    "label", ["LDAM", "A label of a row that says at length which choices of ours it changes and why"]
)
def test_a_table_fits_its_place_whatever_its_labels(fake_study, invented, tmp_path, columns, label):
    several = (invented.column(), invented.column("accuracy.best", "Best epoch of those measured"))
    rows = [row.model_copy(update={"label": f"{label} {row.label}"}) for row in invented.table().rows]
    table = printed(fake_study(BASE | FASA, table=invented.table(columns=several, rows=tuple(rows))))
    (tmp_path / "cifar_lt.tabular.tex").write_text(latex.render_tabulars(table))
    assert (
        overfull(tmp_path, latex.render_floats(table) + r"\clearpage\onecolumn\input{cifar_lt.tabular}", columns) == []
    )


def test_a_narrow_table_takes_one_column_and_a_wide_one_both(fake_study, invented):
    rows = tuple(row.model_copy(update={"group": "", "published": {}}) for row in invented.table().rows[:2])
    assert r"\begin{table}" in latex.render_floats(printed(fake_study(BASE, table=invented.table(rows=rows))))
    assert r"\begin{table*}" in latex.render_floats(printed(fake_study(BASE)))


# --- the kept results ---


def test_the_pages_of_kept_tables_are_what_their_csv_files_give():
    for path, text in render_tables(ROOT).items():
        assert path.read_text() == text, f"{path}: run fasa findings"


@pytest.mark.parametrize("columns", PAGES)
@pytest.mark.parametrize("scale", sorted(path.parent.name for path in REFERENCE.glob("*/tables")))
def test_no_kept_table_is_too_wide(tmp_path, scale, columns):
    tables = sorted(path for path in (REFERENCE / scale / "tables").glob("*.tex") if ".tabular" not in path.name)
    assert tables
    for path in (REFERENCE / scale / "tables").glob("*.tabular.tex"):
        shutil.copy(path, tmp_path)
    numbers_tex = (REFERENCE / scale / "numbers.tex").read_text()
    body = "\n".join([numbers_tex, *(rf"{path.read_text()}\clearpage" for path in tables)])
    assert overfull(tmp_path, body, columns) == []


# --- numbers and the document ---


def test_a_macros_name_has_letters_alone():
    assert numbers.macro_name("ablation", "fa_fs", "mask_ap.APr", "Ours") == "fasaAblationFaFsMaskApAPrOurs"
    assert numbers.macro_name("t", "s15", "tide.cls") == "fasaTSOneFiveTideCls"
    assert r"\fasaAblationFaFsMaskApAPrOurs is ablation, row fa_fs, column mask_ap.APr" in numbers.HEADING


def test_numbers_are_those_of_the_table_and_only_of_what_was_run(fake_study):
    study = fake_study(BASE | FASA)
    text = numbers.render("mini", [measure_table(study, study.tables["cifar_lt"])], [])
    told = dict(re.findall(r"\\newcommand\{\\(\w+)\}\{(.*)\}", text))
    assert told["fasaCifarLtLdamFasaAccuracyLastOurs"] == r"43.80 $\pm$ 0.10"
    assert told["fasaCifarLtLdamFasaAccuracyLastDifference"] == "+1.80"
    assert told["fasaCifarLtLdamFasaAccuracyLastInterval"] == "{[}+1.55, +2.05{]}"
    assert told["fasaCifarLtLdamFasaAccuracyLastPublished"] == r"43.7 $\pm$ 0.25"
    assert told["fasaCifarLtLdamFasaAccuracyLastSeeds"] == "3"
    assert told["fasaCifarLtLdamFasaAccuracyLastVerdict"] == "confirmed"
    assert not any("M2m" in name or "MTwom" in name for name in told)  # it has no run
    assert "fasaCifarLtLdamAccuracyLastDifference" not in told  # it has no baseline


def test_two_figures_of_one_name_are_refused(fake_study, invented):
    rows = (*invented.table().rows[:1], invented.row("l_dam", "ldam"), invented.row("lDam", "ldam"))
    study = fake_study(BASE, table=invented.table(rows=rows))
    with pytest.raises(UserError, match=r"two macros \\fasaCifarLtLDamAccuracyLastOurs; rename"):
        numbers.render("mini", [measure_table(study, study.tables["cifar_lt"])], [])


def test_artifacts_stand_in_the_papers_order(invented):
    def place(published_as, name="x"):
        return paper.place(invented.table(name=name, published_as=published_as))

    wanted = ["Figure 1a", "Figure 1b", "Figure 5 (supplement, Figure 1)", "Table 2", "Table 12 (supplement, Table 5)"]
    wanted += ["supplement, Figure 2", "Supplement, Table 6", "not in the paper; as Figure 3", "not in the paper"]
    assert sorted(reversed(wanted), key=place)[:7] == wanted[:7]
    assert {place(each)[0] for each in wanted[7:]} == {2}


@pytest.fixture
def whole_study(fake_study, invented):
    drawn, empty = invented.figure("sampling_by_group"), invented.figure("class_groups", [("none", "none", "")])
    return fake_study(BASE | FASA, figures=[drawn, empty])


def test_the_document_has_what_was_run_and_names_what_was_not(whole_study):
    written = {path.name: path for path in render_paper(whole_study)}
    text = written["paper.tex"].read_text()
    assert r"\input{tables/cifar_lt}" in text and text.count(r"\includegraphics") == 1
    assert "../../figures/mini/for_paper/figure_sampling_by_group.pdf" in text
    assert re.search(r"Of \d+ claims: .*\d+ not run", text) and "No run of: Figure 9." in text
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not on the PATH")
    assert written["paper.pdf"].read_bytes().startswith(b"%PDF")
    first = written["paper.pdf"].read_bytes()
    render_paper(whole_study)
    assert written["paper.pdf"].read_bytes() == first


def test_without_a_tex_the_document_is_written_and_that_is_said(whole_study, monkeypatch, capsys):
    monkeypatch.setattr("fasa.reporting.paper.shutil.which", lambda name: None)
    monkeypatch.setattr("fasa.cli.render.study_of", lambda options: whole_study)
    assert main(["render", "paper"]) == 0
    told = capsys.readouterr().out
    assert NO_TEX in told and "paper.tex" in told and not whole_study.paper_path.with_suffix(".pdf").exists()


def test_a_document_that_tex_refuses_is_told_with_its_reason(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not on the PATH")
    source = tmp_path / "paper.tex"
    source.write_text(r"\documentclass{article}\begin{document}\nothing\end{document}")
    with pytest.raises(UserError, match=r"cannot build .*paper\.tex \(! Undefined control sequence\."):
        paper.build(source)
