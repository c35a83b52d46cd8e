"""The demo's eyes: VinVL's detector and captioner at small width, trained on drawn scenes, with their record."""
