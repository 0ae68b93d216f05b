"""Revision 0.7 of the format: one small array per chunk, crossings in one blob."""
