"""Multi-modal named-entity recognition by image-text alignments (Wang et al., NAACL 2022)."""

__version__ = "0.1.0"
