"""VinVL's captioner (Zhang et al. 2021), which is Oscar's (Li et al. 2020): captions from regions and their labels."""
