"""Table 2: predicted Dice on a network's masks, of patients nobody was fitted on."""

import pandas as pd
from steps import folder_of_figures, read, told, write

out = folder_of_figures()
found = read(out, "predictions")
rows = []
for name, part in found.groupby("method", sort=False):
    row = {"method": name}
    for _, each in part.iterrows():
        ends = each["lower"], each["upper"]
        row[each["metric"]] = told(each["estimate"], *ends, 3)
    rows.append(row)
write(pd.DataFrame(rows), out, "table2_predictions")
