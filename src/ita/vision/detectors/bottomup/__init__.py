"""The bottom-up attention detector (Anderson et al. 2018): 1600 classes of objects and 400 attributes."""
