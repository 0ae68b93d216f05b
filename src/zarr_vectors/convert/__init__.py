"""Files of other formats to geometry and back; each format is an optional extra."""
