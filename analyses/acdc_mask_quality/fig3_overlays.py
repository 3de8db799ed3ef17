"""Fig. 3: masks before and after: the largest gains, and every slice that lost most."""

from steps import LEVEL, draw_overlays, folder_of_figures, read_slices

out = folder_of_figures()
for panel, name in (
    ("a_gained", "gained"),
    ("b_lost", "lost"),
    ("c_refused", "refused"),
):
    kept = f"{name}_{LEVEL}"
    if (out / "arrays" / f"{kept}.npz").is_file():
        draw_overlays(read_slices(out, kept), out, f"fig3{panel}")
