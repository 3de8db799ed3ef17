"""What the page shows of which table: the one place to enter a table or a figure.

==============  ===============================================================
``tables``      tables of the page, in its order
``figures``     its figures, how each is drawn and how wide
==============  ===============================================================
"""

from radlatent.report.plans import Figure, Table
from radlatent.report.sections.figures import FIGURES
from radlatent.report.sections.tables import TABLES

__all__ = ["FIGURES", "SECTIONS", "TABLES", "Figure", "Table"]

#: Anchor of a section to its title, in the order of the page.
SECTIONS = {
    "cohort": "Cohort",
    "performance": "Performance",
    "comparison": "Comparison of models",
    "calibration": "Calibration",
    "decision": "Decision curves",
    "survival": "Survival",
    "incidence": "Competing events",
    "subgroups": "Subgroups",
    "external": "External validation",
    "importance": "Importance",
    "features": "Features",
    "encoders": "Latent features",
    "certificate": "Redundancy certificate",
    "quality": "Mask quality",
    "failures": "Failures",
}
