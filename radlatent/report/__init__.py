"""PAPER: the tables of a run become publication tables, figures and one page.

- `report`: write tables, figures and ``index.html`` of a run folder.
- `write`: the same of `Result` objects of a notebook, without a study file.
- `page_of`, `Table`, `Picture`: the page of an analysis.
- `table_one`: the patients by outcome.
- `checklist`, `check_reporting`: CLEAR, METRICS, IBSI, TRIPOD+AI from the evidence.
- `methods_paragraph`: the methods in words, from the record of the run.
- `write_table`, `write_extraction`, `read_features`: tables to disk and back.
- `performance`: the **metrics** table as a journal prints it.
"""

from radlatent.report.analysis import Picture, page_of
from radlatent.report.checklists import check_reporting, checklist
from radlatent.report.methods import methods_paragraph
from radlatent.report.page import report
from radlatent.report.results import write
from radlatent.report.sections import Table
from radlatent.report.table_one import table_one
from radlatent.report.tables import performance
from radlatent.schema import read_features, write_extraction, write_table

__all__ = [
    "Picture",
    "Table",
    "check_reporting",
    "checklist",
    "methods_paragraph",
    "page_of",
    "performance",
    "read_features",
    "report",
    "table_one",
    "write",
    "write_extraction",
    "write_table",
]
