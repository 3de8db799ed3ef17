"""Fig. 2: Dice of each case by loss and structure, and how many are not segmented."""

from steps import folder_of_figures, read, save

from radlatent import figures

#: `compare_cohorts` and `dice_violins` name alike what only one of both holds.
STATES = {"mask_empty": "missed", "reference_empty": "invented"}

out = folder_of_figures()
volumes = read(out, "volumes").rename(columns={"loss": "name"})
volumes = volumes.assign(state=volumes["state"].replace(STATES))
for cohort, part in volumes.groupby("cohort", sort=False):
    n = len(part[["name", "structure"]].drop_duplicates())
    with figures.canvas((6.5, 0.5 * n + 1.2)) as (figure, ax):
        figures.dice_violins(part, ax)
        save(figure, out, f"fig2_dice_{cohort}")
