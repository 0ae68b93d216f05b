"""The public doors, one module per kind of geometry: ``write_*`` and ``read_*``."""
