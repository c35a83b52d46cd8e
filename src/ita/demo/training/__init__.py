"""Training of the demo's detector and captioner: VinVL's architectures at small width, on synthetic images."""
