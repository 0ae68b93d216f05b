"""Elements ⇄ cells: chunking, ordering, cutting, boxes and row selection, in pure NumPy."""
