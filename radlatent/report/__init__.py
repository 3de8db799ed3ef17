"""PAPER: the tables of a run become publication tables, figures and one page.

- `report`: write tables, figures and ``index.html`` of a run folder.
- `performance`: the **metrics** table as a journal prints it.
"""

from radlatent.report.page import report
from radlatent.report.tables import performance

__all__ = ["performance", "report"]
