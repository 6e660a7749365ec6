"""From an ONNX file to layers."""
