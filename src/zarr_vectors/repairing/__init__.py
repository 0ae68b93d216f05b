"""Steps of a repair: what is left over, the root, the nodes of a level, what its arrays hold."""
