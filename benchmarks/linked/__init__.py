"""Vertices with links: skeletons, graphs and meshes of a thousand objects."""
