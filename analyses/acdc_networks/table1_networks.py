"""Table 1: parameters, minutes and Dice of the networks, the U-Net being 100 %."""

from steps import folder_of_figures, read, write

out = folder_of_figures()
costs = read(out, "costs")


def cell(column, digits, unit=""):
    """Return values with their share of the U-Net's in brackets."""
    shares = costs[f"{column}_percent"]
    return [
        f"{value:,.{digits}f}{unit} ({share:.0f} %)"
        for value, share in zip(costs[column], shares, strict=True)
    ]


table = costs[["network"]].assign(
    parameters=cell("parameters", 0),
    epochs=costs["epochs"],
    minutes=cell("cpu_minutes_a_fold", 1),
    memory=[f"{mib:,.0f} MiB" for mib in costs["peak_memory_mib"]],
    training_dice=cell("training_dice", 3),
    test_dice=cell("test_dice", 3),
)
write(table, out, "table1_networks")
