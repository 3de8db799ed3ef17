"""Nyxus' 3D features of one image and one mask; started by `handcrafted.py`.

Runs in an environment of its own that has nothing but Nyxus.
"""

import importlib.metadata
import json
import statistics
import sys
import time

from nyxus import Nyxus3D


def main():
    """Time `featurize_files` and print what it took as the last line."""
    image, mask, repeats = sys.argv[1:]
    tool = Nyxus3D(["*3D_ALL*"], n_feature_calc_threads=1)
    wall, cpu = [], []
    for _ in range(int(repeats) + 1):
        start = time.perf_counter(), time.process_time()
        table = tool.featurize_files([image], [mask], False)
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    result = {
        "version": importlib.metadata.version("nyxus"),
        "seconds": statistics.median(wall[1:]),  # the first call is the warm-up
        "cpu": statistics.median(cpu[1:]),
        "n_features": sum(name.startswith("3") for name in table.columns),
        "voxels": float(table["3VOXEL_VOLUME"].iloc[0]),
        "mesh_volume": float(table["3MESH_VOLUME"].iloc[0]),
        "glcm_mean_level": float(table["3GLCM_JAVE"].iloc[0]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
