"""Make one page of the tables and figures of this analysis."""

from steps import folder_of_figures

from radlatent.report import mask_report

print(f"report: {mask_report(folder_of_figures())}")
