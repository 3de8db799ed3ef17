"""Fig. 8: the held-out bound of every trial of the random search."""

import json

from steps import draw, folder_of_figures, read

from radlatent import figures

out = folder_of_figures()
trials = read(out, "search_trials")
space = json.loads((out / "tables" / "search_space.json").read_text("utf-8"))
draw(
    out,
    "fig8_random_search",
    (8, 3),
    lambda ax: figures.search(trials, ax, space=space),
)
