"""Which triangles the mesh of a mask has in each cube, and what they add up to.

Areas of faces that are not flat depend on how they are cut into triangles. So that
they equal pyradiomics', the cuts are its own (cshape.c of pyradiomics 3.0.1, BSD-3,
see NOTICE; after the tables of P. Bourke and C. Bloyd, in the public domain).

References
----------
Lorensen, Cline 1987, doi:10.1145/37402.37422
"""

import numpy as np

__all__ = ["cube_sums", "square_sums"]

# corners of a cube in the order of the table, (z, y, x)
_CORNERS = ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0))
_CORNERS += tuple((1, y, x) for _, y, x in _CORNERS)

# edges of a cube between two corners, in the order of the table
_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4))
_EDGES += ((0, 4), (1, 5), (2, 6), (3, 7))

#: By corners inside, the last one being outside: edges of the triangles in hex digits.
_TRIANGLES = """
    - 083 190 183198 12a 08312a 92a029 2832a8a98 b23 b2008b 190b23 b2119b98b 3a1ba3
    a1008a8ba 9033b9ba9 98aba8 478 043473 190478 194147173 12a478 34730412a
    92a902478 2a9297273479 478b23 b47b24204 190478b23 47b94bb29192 3a1ba3478
    ba114b10447b 4789033b9ba9 47b4b99ba 954 954083 054015 854835315 12a954 08312a954
    2a5542240 2a5325354834 954b23 b2008b954 054015b23 215258b28548 3a1ba3954
    549a1008a8ba 54050ba5bb03 548a58ba8 789579 309539357 780017715 157173 78957912a
    12a309395357 0288258572a5 2a5253357 579789b23 579972209b27 b23018178157
    21b17b157 7895793a1ba3 5705097b0a10ba0 ba003ba50078570 ba557b 65a 08365a 19065a
    18319865a 165126 165126083 965906026 598582526832 b2365a b2008b65a 190b2365a
    b2119b98b65a 63b653513 08b0b50515b6 63b036065059 65969bb98 47865a 04347365a
    19047865a 19414717365a 478165126 043473165126 478965906026 739479329596269
    b2347865a b47b2420465a 190b2347865a 47b94bb2919265a 47863b653513 51b5b610b47b04b
    47863b036065059 65969b4797b9 a4964a a4964a083 01aa60640 18316886461a 149124264
    149124264083 024426 832824426 b23a4964a b2008ba4964a b2301aa60640
    64161a148b2118b 964369139b63 18b081b61149641 63b036640 86468b 67a78a89a
    67a0a709a073 67a1a7178018 67a1a7173 126168189678 269129679309739 078706602
    273267 b2367a78a89a 207b2709767a9a7 67a1a7178018b23 b2117ba61167 896678169b63136
    09167b 07870603bb60 67b
""".split()  # noqa: SIM905 - a table, not a list to read

#: By corners of a square inside (bit 2 y + x): lines between its edges, the inside to
#: one side of them. Edges 0 to 3 are the upper, right, lower and left one.
_LINES = ("", "30", "01", "31", "23", "20", "0123", "21")
_LINES += ("12", "1230", "02", "32", "13", "10", "03", "")

_MIDDLES = ((0, 0.5), (0.5, 1), (1, 0.5), (0.5, 0))


def _all_triangles():
    """Return corners of every triangle, the code of its cube, and where it faces."""
    middles = np.array([np.add(_CORNERS[a], _CORNERS[b]) / 2 for a, b in _EDGES])
    corners, codes, signs = [], [], []
    for code in range(256):
        inside = sum(
            1 << k
            for k, (z, y, x) in enumerate(_CORNERS)
            if code >> (4 * z + 2 * y + x) & 1
        )
        # the table ends where the last corner is inside: the same surface from behind
        behind = inside > 127
        edges = _TRIANGLES[255 - inside if behind else inside].strip("-")
        found = middles[[int(edge, 16) for edge in edges]].reshape(-1, 3, 3)
        corners.append(found)
        codes += [code] * len(found)
        signs += [-1.0 if behind else 1.0] * len(found)
    return np.concatenate(corners), np.array(codes), np.array(signs)


_ALL, _CODES, _SIGNS = _all_triangles()


def cube_sums(spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return what one cube adds to the surface and to the volume of a mesh.

    Parameters
    ----------
    spacing
        Of axes (z, y, x), in mm.

    Returns
    -------
    area
        Shape (256,), in mm2, by the corners inside: bit 4 z + 2 y + x.
    volume
        Shape (256, 4): six times the signed volume between the origin and the
        triangles of a cube at (z, y, x) is ``volume @ (1, z, y, x)``, in mm3.
    """
    a, b, c = np.moveaxis(_ALL * spacing, 1, 0)
    sides = np.linalg.norm(np.cross(a - c, b - c), axis=1) / 2
    own = _SIGNS * np.einsum("ij,ij->i", np.cross(a, b), c)
    normal = np.cross(a, b) + np.cross(b, c) + np.cross(c, a)
    terms = np.column_stack([sides, own, _SIGNS[:, None] * normal * spacing])
    sums = np.zeros((256, 5))
    np.add.at(sums, _CODES, terms)
    return sums[:, 0], sums[:, 1:]


def square_sums(spacing: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """As `cube_sums` for a slice: what a square adds to perimeter and surface.

    Parameters
    ----------
    spacing
        Of axes (y, x), in mm.

    Returns
    -------
    length
        Shape (16,), in mm, by the corners inside: bit 2 y + x.
    surface
        Shape (16, 3): twice the signed surface between the origin and the lines of a
        square at (y, x) is ``surface @ (1, y, x)``, in mm2.
    """
    length, surface = np.zeros(16), np.zeros((16, 3))
    for code, edges in enumerate(_LINES):
        ends = np.array([_MIDDLES[int(edge)] for edge in edges]).reshape(-1, 2, 2)
        a, b = np.moveaxis(ends * spacing, 1, 0)
        length[code] = np.linalg.norm(b - a, axis=1).sum()
        surface[code, 0] = (a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]).sum()
        # a line further down or right: what its shift adds is linear
        surface[code, 1] = (b - a)[:, 1].sum() * spacing[0]
        surface[code, 2] = (a - b)[:, 0].sum() * spacing[1]
    return length, surface
