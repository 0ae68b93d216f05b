"""Coarse levels: folds, aggregation, thinning of objects, links across levels."""
