"""VinVL's detector (Zhang et al. 2021): 1594 classes of objects and 524 attributes."""
