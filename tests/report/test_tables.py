import pandas as pd

from radlatent.report import tables
from radlatent.report.latex import latex
from radlatent.report.sections import TABLES


def test_unknown_metrics_keep_their_name(class_run):
    metrics = pd.read_parquet(class_run / "data" / "metrics.parquet")
    metrics["metric"] = metrics["metric"].replace({"auc": "c_uno", "brier": "new_one"})
    names = list(tables.performance(metrics))
    assert names[:5] == ["Endpoint", "Model", "Features", "n", "Events"]
    assert {"C (Uno)", "Balanced accuracy", "new_one"} <= set(names)


def test_a_metric_that_counts_until_a_day_says_which(class_run):
    metrics = pd.read_parquet(class_run / "data" / "metrics.parquet")
    metrics = metrics[metrics["metric"].isin(["auc", "brier"])]
    metrics["metric"] = metrics["metric"].replace({"auc": "c_uno"})
    dated = metrics.assign(horizon=metrics["metric"].map({"c_uno": 186.0}))
    assert {"C (Uno, until day 186)", "Brier score"} <= set(tables.performance(dated))
    days = range(len(metrics))
    apart = pd.concat([dated, dated.assign(endpoint="other", horizon=[*days])])
    assert "C (Uno)" in tables.performance(apart)


def test_comparisons_print_differences_and_p():
    compared = pd.DataFrame(
        {
            **{"model": ["b", "c"], "blocks": "ct", "reference_model": "a"},
            **{"reference_blocks": "clinical", "endpoint": "os", "metric": "auc"},
            **{
                "difference": [0.1, -0.004],
                "lower": [0.02, -0.1],
                "upper": [0.2, 0.09],
            },
            **{"p_corrected": [0.0004, 0.456], "p_adjusted": [0.0008, 0.456]},
            "n": 80,
        }
    )
    printed = tables.comparison(compared)
    assert printed["Difference"].tolist() == [
        *("0.10 (0.02–0.20)", "0.00 (−0.10 to 0.09)"),
    ]
    assert printed["p"].tolist() == ["< 0.001", "0.46"]
    assert printed["Model"].tolist() == ["b on ct", "c on ct"]


def test_encoders_no_better_than_pca_are_told():
    told = {"repeat": [0, 0], "fold": [0, 1], "explained_train": [0.9, 0.8]}
    told |= {"explained_test": [0.4, 0.2], "pca_test": [0.5, 0.15]}
    table = pd.DataFrame(told | {"own_mean_test": [0.1, 0.3], "epochs": [5, 5]})
    printed = tables.encoders(table)
    assert printed["Explained (mean)"].tolist() == ["0.300", "0.325", "0.200", "0.850"]
    assert printed.iloc[0, -1] == "1 of 2"
    plan = next(one for one in TABLES if one.name == "encoders")
    assert "Warning" in plan.captioned(printed)
    better = tables.encoders(table.assign(pca_test=0.1))
    assert "Warning" not in plan.captioned(better)
    before = tables.encoders(table[["repeat", "fold", "epochs"]])
    assert before["Epochs"].tolist() == [5, 5]


def test_a_wide_table_is_cut_and_loses_no_column():
    wide = pd.DataFrame([range(8)], columns=list("abcdefgh"))
    parts = tables.pieces(wide, 2, 3)
    assert [list(part) for part in parts] == [list("abcde"), list("abfgh")]
    assert tables.pieces(wide, 0) == [wide]


def test_numbers_of_any_table_are_short():
    printed = tables.plain(pd.DataFrame({"n_days": [1234.5, 0.012345, None]}))
    assert printed["N days"].tolist() == ["1234", "0.0123", ""]


def test_latex_escapes_every_special_character():
    table = pd.DataFrame({"a_b": [r"50% & $1 #2 {x} ~ ^ \ <", None]})
    text = latex(table, caption="All & _", label="tab:x")
    row = r"50\% \& \$1 \#2 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    assert rf"{row} \textless{{}} \\" in text
    assert r"a\_b \\" in text
    assert r"\caption{All \& \_} \label{tab:x}" in text
    assert "-- \\\\" in text


def test_latex_breaks_cells_of_tables_wider_than_a_line():
    narrow = pd.DataFrame({"a": ["x"], "b": ["y"]})
    assert r"\begin{longtable}{ll}" in latex(narrow, caption="", label="")
    wide = latex(narrow.assign(b="a long text " * 9), caption="", label="")
    assert wide.count(r"\raggedright") == 2
