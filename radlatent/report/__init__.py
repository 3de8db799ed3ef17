"""PAPER: the tables of a run become publication tables, figures and one page.

- `report`: write tables, figures and ``index.html`` of a run folder.
- `write_table`, `write_extraction`, `read_features`: tables to disk and back.
- `performance`: the **metrics** table as a journal prints it.
"""

from radlatent.report.files import read_features, write_extraction, write_table
from radlatent.report.page import report
from radlatent.report.tables import performance

__all__ = ["performance", "read_features", "report", "write_extraction", "write_table"]
