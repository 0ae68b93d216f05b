"""Surfaces and volumes of known shape, and what makes two meshes the same, for the tests of meshes."""

from __future__ import annotations

from typing import Any

import numpy as np

REVISIONS = ("0.9", "0.7")


def torus(major: int = 24, minor: int = 12, *, quads: bool = False, scale: float = 1.0) -> tuple[Any, Any]:
    """Return a closed, consistently wound torus of ``major × minor`` vertices about the origin."""
    i, j = np.meshgrid(np.arange(major), np.arange(minor), indexing="ij")
    u, v = 2 * np.pi * i / major, 2 * np.pi * j / minor
    ring = 30 + 12 * np.cos(v)
    vertices = np.stack([ring * np.cos(u), ring * np.sin(u), 12 * np.sin(v)], axis=-1).reshape(-1, 3)
    right, up = (i + 1) % major, (j + 1) % minor
    corners = [i * minor + j, right * minor + j, right * minor + up, i * minor + up]
    faces = np.stack(corners, axis=-1).reshape(-1, 4)
    if not quads:
        faces = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    return (vertices * scale).astype(np.float32), faces


def icosphere(divisions: int = 2, *, radius: float = 20.0, centre: Any = (0, 0, 0)) -> tuple[Any, Any]:
    """Return an icosahedron whose faces were divided in four several times, pushed onto a sphere."""
    phi = (1 + 5**0.5) / 2
    base = [(-1, phi, 0), (1, phi, 0), (-1, -phi, 0), (1, -phi, 0)]
    vertices = np.array([[p[k - s] for k in range(3)] for s in range(3) for p in base], float)
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=-1)
    near = np.isclose(distance, 2.0)
    faces = np.array(
        [(a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[a, c]]
    )
    outward = np.einsum(
        "ij,ij->i", np.cross(*(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2))), vertices[faces[:, 0]]
    )
    faces[outward < 0] = faces[outward < 0][:, ::-1]
    for _ in range(divisions):
        ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
        edges, which = np.unique(ends, axis=0, return_inverse=True)
        middle = len(vertices) + which.reshape(-1, 3)
        vertices = np.concatenate([vertices, vertices[edges].mean(axis=1)])
        faces = np.concatenate(
            [np.stack([faces[:, k], middle[:, k], middle[:, k - 1]], axis=1) for k in range(3)] + [middle]
        )
    unit = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return (unit * radius + np.asarray(centre)).astype(np.float32), faces


def tetrahedra(n: int = 4, size: float = 10.0) -> tuple[Any, Any]:
    """Return a cube of ``n³`` cells, each cut into six tetrahedra of positive volume."""
    grid = np.stack(np.meshgrid(*[np.arange(n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = grid[(grid < n).all(axis=1)]
    number = np.array([(n + 1) ** 2, n + 1, 1])
    paths = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    parts = []
    for path in paths:
        steps = np.zeros((4, 3), int)
        for k, axis in enumerate(path):
            steps[k + 1] = steps[k]
            steps[k + 1, axis] += 1
        parts.append((cells[:, None] + steps) @ number)
    solids = np.concatenate(parts)
    edges = (grid[solids[:, 1:]] - grid[solids[:, :1]]).astype(float)
    inverted = np.linalg.det(edges) < 0
    solids[inverted] = solids[inverted][:, [0, 1, 3, 2]]
    return (grid * size).astype(np.float32), solids


def directed_edges(faces: Any) -> tuple[Any, Any]:
    """Return every edge of polygons with its direction, and how often it occurs; edges of no length left out."""
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    ends = ends[ends[:, 0] != ends[:, 1]]
    return np.unique(ends, axis=0, return_counts=True)


def is_watertight(faces: Any) -> bool:
    """Return whether every edge is used as often in one direction as in the other."""
    edges, uses = directed_edges(faces)
    back = np.lexsort((edges[:, 0], edges[:, 1]))
    return bool(np.array_equal(edges[back][:, ::-1], edges) and np.array_equal(uses[back], uses))


def wound(vertices: Any, faces: Any) -> list[tuple[Any, ...]]:
    """Return faces as tuples of vertex positions that start at the smallest, sorted: equal for equal windings."""
    corners = [[tuple(map(float, vertices[v])) for v in face] for face in np.asarray(faces).tolist()]
    turned = []
    for face in corners:
        first = face.index(min(face))
        turned.append(tuple(face[first:] + face[:first]))
    return sorted(turned)
