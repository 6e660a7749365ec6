"""Networks from and to ONNX files."""
