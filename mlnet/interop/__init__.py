"""Networks from and to other places: ONNX files, weights of other libraries, and code."""
