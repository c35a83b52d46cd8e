"""UpDown (Anderson et al. 2018), Att2in2 (Rennie et al. 2017) and Transformer captioners of ImageCaptioning.pytorch."""
