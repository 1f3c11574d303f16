"""Blobs addressed by what they are: LevelDB store, safetensors codec, HTTP server and client (DESIGN §3)."""
