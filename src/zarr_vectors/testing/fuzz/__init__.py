"""Hostile and damaged input: valid stores and payloads, changed at random, through every decoder and public door.

``python -m zarr_vectors.testing.fuzz`` runs it for a while and prints what it found; ``--guided`` lets atheris
choose the changes by what they reach in the code (extra ``fuzz``). See ``docs/reliability.md``.
"""
