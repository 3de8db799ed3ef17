"""Make one page of the tables and figures of this analysis."""

from mask_page import mask_report
from steps import folder_of_figures

print(f"report: {mask_report(folder_of_figures())}")
