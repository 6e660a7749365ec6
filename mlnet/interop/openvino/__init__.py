"""Networks as OpenVINO's IR."""
