"""From a trained network to the files that a stretch runs: ONNX, its precision, and the check of both."""
