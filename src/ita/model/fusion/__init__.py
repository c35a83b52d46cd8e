"""Fusion of subword states with image features: what published taggers put between encoder and CRF."""
