"""What the Faster R-CNN detectors (Ren et al. 2015) vinvl and bottomup share.

Tensor shapes in docstrings: B images of H x W cells of the feature map, A anchors per cell, R proposals (regions) of an
image, D channels of the feature map, F of a region's feature.
"""
