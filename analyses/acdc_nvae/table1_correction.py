"""Table 1: Dice, validity, harm and structures of a network's masks, by method."""

import pandas as pd
from steps import folder_of_figures, read, told, write

out = folder_of_figures()
found = read(out, "methods")
rows = []
for _, row in found.iterrows():
    text = {"method": row["method"], "slices": int(row["n"])}
    for name, digits in (("dice_before", 4), ("dice_after", 4), ("valid_16", 3)):
        ends = row[f"{name}_lower"], row[f"{name}_upper"]
        text[name] = told(row[name], *ends, digits)
    for name in ("harmed", "ruined", "improved"):
        ends = row[f"{name}_lower"], row[f"{name}_upper"]
        text[f"{name} %"] = told(100 * row[name], *(100 * end for end in ends), 2)
    for kind in ("missing", "invented"):
        text[kind] = f"{int(row[kind])} -> {int(row[f'{kind}_after'])}"
    rows.append(text)
write(pd.DataFrame(rows), out, "table1_correction")
