"""Fig. 5: best and worst reconstructions of the external test."""

from steps import draw, folder_of_figures, read_pictures

from radlatent import figures

out = folder_of_figures()
for panel, name in (("a_log", "extremes_log"), ("b_no_log", "extremes_no_log")):
    found = read_pictures(out, name)
    draw(
        out,
        f"fig5{panel}",
        (10, 5),
        lambda ax, found=found: figures.reconstructions(found, ax),
    )
# the best and worst of the log by both encoders, SUV 0 to 10 as PET is read
for panel, name in (("c_suv_log", "same_log"), ("d_suv_no_log", "same_no_log")):
    found = read_pictures(out, name)
    ids = list(found.cases.index)
    draw(
        out,
        f"fig5{panel}",
        (10, 5),
        lambda ax, found=found, ids=ids: figures.reconstructions(
            found, ax, case_ids=ids, vmin=0, vmax=10
        ),
    )
