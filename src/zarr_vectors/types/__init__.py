"""The public doors of each kind of geometry: ``write_*`` and ``read_*``."""
