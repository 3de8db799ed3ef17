"""Fig. 1: rules broken before and after the correction with the gate."""

from steps import LEVEL, draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
table = read(out, f"rules_broken_{LEVEL}")
draw(out, "fig1_rules_broken", (6, 5.5), lambda ax: figures.rules_broken(table, ax))
