"""Images in, words out: decoding, and detectors, captioners and readers behind one small protocol each."""
