"""Values of attributes, in the encodings of OTLP."""
